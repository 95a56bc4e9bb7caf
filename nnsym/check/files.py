"""Files from the disk: certificates as exact JSON, networks and properties by the hashes of their contents."""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from .errors import Refused, need, number

FORMAT = "nnsym-cert/1"
_LARGEST = 1 << 30  # bytes of a file, unpacked


def read_json(data: bytes) -> Any:
    """A certificate's object; numbers are exact, names stand once."""

    def object_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len({k for k, _ in pairs}) == len(pairs), "a name stands twice in one object")
        return dict(pairs)

    def refuse(word: str) -> Any:
        raise Refused(f"the number {word}")

    def integer(word: str) -> int:
        need(len(word) < 4000, "a number of too many digits")
        return int(word)

    try:
        return json.loads(
            data.decode(), parse_float=number, parse_int=integer, parse_constant=refuse, object_pairs_hook=object_of
        )
    except (ValueError, RecursionError) as error:
        raise Refused(f"the certificate is no JSON: {error}") from None


def content(path: Path) -> bytes:
    """A file's bytes, unpacked if it is gzipped."""
    try:
        need(path.is_file(), f"{path}: {'is no file' if path.exists() else 'there is no such file'}")
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as stream:
            data = bytes(stream.read(_LARGEST + 1))
    except (OSError, EOFError, zlib.error) as error:
        raise Refused(f"{path}: {error}") from None
    need(len(data) <= _LARGEST, f"{path} is larger than {_LARGEST} bytes")
    return data


def opened(path: Path, given: Iterable[bytes] = ()) -> tuple[dict[str, Any], dict[str, bytes]]:
    """A certificate and the contents of the files that it speaks of, by their hashes.

    Files that are not given are looked for beside the certificate: by the names that it has for them, then among all
    networks and properties there.
    """
    certificate = read_json(content(path))
    need(isinstance(certificate, dict), f"not of the format {FORMAT}")
    files = dict(map(_hashed, given))
    networks = certificate.get("networks")
    entries = [*(networks if isinstance(networks, list) else []), certificate.get("property")]
    named = [entry for entry in entries if isinstance(entry, dict) and isinstance(entry.get("file"), str)]
    names = [name for entry in named for name in (entry["file"], f"{entry['file']}.gz") if Path(name).name == name]
    beside = [p for p in map(path.parent.joinpath, names) if p.is_file()]
    beside += sorted(p for p in path.parent.iterdir() if p.name.removesuffix(".gz").endswith((".onnx", ".vnnlib")))
    for place in beside:
        if any(entry.get("sha256") not in [*files] for entry in named):
            with suppress(Refused):  # what cannot be read is not what is looked for
                files |= [_hashed(content(place))]
    return certificate, files


def _hashed(data: bytes) -> tuple[str, bytes]:
    return hashlib.sha256(data).hexdigest(), data
