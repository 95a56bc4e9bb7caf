"""``nnsym check`` and ``nnsym audit``: certificates, one or a folder of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from nnsym.ask import audit as auditing
from nnsym.check import checker
from nnsym.check.errors import Refused
from nnsym.check.files import content, opened
from nnsym.cli.options import EXIT, Json
from nnsym.cli.output import check_files, print_line, print_rich
from nnsym.cli.streams import shown
from nnsym.errors import InputError
from nnsym.report.audit import audit_grids, summary
from nnsym.results.saved import write_file
from nnsym.write.lean import to_lean
from nnsym.write.vipr import to_vipr


def check(
    certificate: Annotated[
        Path, typer.Argument(metavar="CERTIFICATE", help="A certificate's file, .json or .json.gz.")
    ],
    files: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(
            metavar="[FILES]...",
            help="What the claim must be about: networks and properties; others are found beside it, by their hashes.",
        ),
    ] = None,
    engine: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(help="fast (NumPy, the default) or reference (Python's integers)."),
    ] = None,
    seconds: Annotated[float, typer.Option(help="Processor time that the check may take.")] = 3600.0,
    memory: Annotated[float, typer.Option(help="Memory that the check may take, in GiB.")] = 16.0,
    vipr: Annotated[
        Path | None, typer.Option(help="Also write the proof for viprchk (small ReLU networks, split by phases).")
    ] = None,
    lean: Annotated[Path | None, typer.Option(help="Also write the proof for Lean 4, of the same networks.")] = None,
) -> None:
    """Check a certificate with the independent checker: accepted (0) or refused (10)."""
    check_files(vipr, lean)
    for path in (certificate, *(files or ())):
        if not path.exists():
            remedy = (
                "Give a certificate, then networks (.onnx) and properties (.vnnlib); others stand in the certificate"
            )
            raise InputError("no such file", where=str(path), remedy=remedy)
    try:
        print_line(str(checker.check(certificate, files or (), engine, seconds, memory)))
        if vipr is not None:
            write_file(vipr, to_vipr(*opened(certificate, map(content, files or ()))))
        if lean is not None:
            write_file(lean, to_lean(*opened(certificate, map(content, files or ()))))
    except Refused as error:
        print_line(shown(f"refused: {error}", kept=""))
        raise typer.Exit(EXIT["falsified"]) from None


def audit(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Certificates and saved results, in it and in its folders.")
    ],
    networks: Annotated[
        Optional[list[Path]],  # noqa: UP045
        typer.Argument(
            metavar="[NETWORKS]...", help="Networks that lie elsewhere: files or folders; found by their hashes."
        ),
    ] = None,
    engine: Annotated[Optional[str], typer.Option(help="fast (the default) or reference.")] = None,  # noqa: UP045
    as_json: Json = False,
) -> None:
    """Check all certificates of a folder: all certified (0), one refused (10), a result without one (30)."""
    found = auditing.audit(folder, networks=networks or (), engine=engine)
    if as_json:
        print_line(json.dumps(found.to_json()))
    else:
        for grid in audit_grids(found):
            print_rich(grid)
        print_line(summary(found))
    raise typer.Exit(found.code)
