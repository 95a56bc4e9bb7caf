"""``python -m nnsym.check CERTIFICATE [FILE ...]``: exit code 0 accepted, 10 refused, 2 wrong use."""

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
        sys.stdout.write(f"refused: {printable(str(error))}\n")
        return 10
    sys.stdout.write(f"{report}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
