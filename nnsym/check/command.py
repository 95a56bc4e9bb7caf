"""What ``python -m nnsym.check`` does: exit code 0 accepted, 10 refused, 2 wrong use, or what it says is not heard."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .checker import ENGINES, check
from .errors import Refused, printable
from .limits import MEMORY, SECONDS


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a certificate and say what was found, of which files."""
    parser = argparse.ArgumentParser(prog="python -m nnsym.check", description="Check a certificate, trusting nothing.")
    parser.add_argument("certificate", type=Path)
    parser.add_argument(
        "files",
        nargs="*",
        type=Path,
        help="what the claim must be about: networks (.onnx) and properties (.vnnlib), plain or gzipped",
    )
    parser.add_argument("--engine", choices=ENGINES, help="default: fast where NumPy is at hand")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of processor time (%(default)g)")
    parser.add_argument("--memory", type=float, default=MEMORY, help="in GiB (%(default)g)")
    options = parser.parse_args(arguments)
    try:
        report = check(options.certificate, options.files, options.engine, options.seconds, options.memory)
    except Refused as error:
        return _said(f"refused: {printable(str(error))}", 10)
    return _said(str(report), 0)


def _said(text: str, code: int) -> int:
    """The code, whoever reads the text, in whatever letters; 2 where it cannot be written (a full disk)."""
    coding = getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        print(text.encode(coding, "backslashreplace").decode(coding), flush=True)  # noqa: T201 - which is silent where stdout was closed
    except BrokenPipeError:
        pass
    except OSError as error:
        sys.stderr.write(f"cannot write: {error.strerror}\n")
        return 2
    return code
