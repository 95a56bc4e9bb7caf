"""``audit``: every certificate in a folder checked again, and the verdicts beside them that have none."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from nnsym.check.checker import VERSION, Checker, Report
from nnsym.check.errors import Refused, nearly
from nnsym.check.files import content, read_json
from nnsym.check.limits import MEMORY, SECONDS, limited
from nnsym.errors import InputError
from nnsym.results.certificate import Lack, stated
from nnsym.results.files import path_of, plain_data
from nnsym.results.plain import FORMAT, NUMBER
from nnsym.results.result import NoTruthValue

_CERTIFICATE = "nnsym-cert/"  # before the number of the version
_NAMED = (".onnx", ".vnnlib")


@final
@dataclass(frozen=True, kw_only=True)
class Checked:
    """A certificate's file and what the checker said: ``refused`` is empty where it accepted.

    ``claim`` is ``unsat`` or ``sat``, ``networks`` their names and hashes, ``text`` the hash of the property's text,
    ``stated`` that of all that is claimed, ``digest`` that of the certificate's content.
    """

    file: str
    digest: str
    size: int
    claim: str
    semantics: str
    networks: tuple[tuple[str, str], ...]
    text: str
    stated: str
    report: Report | None
    refused: str

    @property
    def checked_by(self) -> str:
        """The checker, its version and its engine."""
        return "" if self.report is None else f"nnsym.check {VERSION} ({self.report.engine})"


@final
@dataclass(frozen=True, kw_only=True)
class Recorded:
    """A saved result: its verdict, its property, and why it counts as certified, or why not."""

    file: str
    name: str
    verdict: str
    trust: str
    certificate: str
    reason: str

    @property
    def certified(self) -> bool:
        return not self.reason


@final
@dataclass(frozen=True, kw_only=True)
class Audit(NoTruthValue):
    """All certificates and all saved results of a folder."""

    spoken = ("an audit of a folder", "Ask for its code, or for what was refused")

    folder: str
    certificates: tuple[Checked, ...]
    results: tuple[Recorded, ...]

    @cached_property
    def refused(self) -> tuple[Checked, ...]:
        """Certificates that the checker did not accept."""
        return tuple(c for c in self.certificates if c.refused)

    @cached_property
    def uncertified(self) -> tuple[Recorded, ...]:
        """Results without an accepted certificate in the folder."""
        return tuple(r for r in self.results if not r.certified)

    @property
    def reasons(self) -> dict[str, int]:
        """How many results have no certificate, by the kind of the reason."""
        return dict(Counter(Lack.of(r.reason) for r in self.uncertified))

    @property
    def code(self) -> int:
        """0: all is certified; 10: a certificate was refused; 30: a result has none."""
        return 10 if self.refused else 30 if self.uncertified else 0

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "folder": self.folder,
            "checker": VERSION,
            "certificates": [_plain(c) for c in self.certificates],
            "results": [vars(r) | {"certified": r.certified} for r in self.results],
            "reasons": self.reasons,
            "code": self.code,
        }


def _plain(found: Checked) -> dict[str, Any]:
    made = found.report
    return {
        "file": found.file,
        "sha256": found.digest,
        "bytes": found.size,
        "claim": found.claim,
        "semantics": found.semantics,
        "networks": [{"name": name, "sha256": digest} for name, digest in found.networks],
        "property": found.text,
        "stated": found.stated,
        "accepted": not found.refused,
        "refused": found.refused,
        "checked_by": found.checked_by,
        "leaves": None if made is None else made.leaves,
        "least": None if made is None or made.least is None else nearly(made.least),
        "seconds": None if made is None else round(made.seconds, 6),
    }


def audit(folder: str | Path, *, networks: Iterable[str | Path] = (), engine: str | None = None) -> Audit:
    """Check every certificate of a folder and of its folders, and hold the saved results against them.

    Networks are found by their hashes among ``.onnx`` files in the folder and among ``networks`` (files or folders).
    A result is certified if a certificate in the folder whose hash it names was accepted.

    Raises :class:`InputError` where the folder cannot be read or has neither certificates nor results.
    """
    root = path_of(folder)
    if not root.is_dir():
        raise InputError("no such folder", where=str(root), remedy="Give the folder of certificates and saved results")
    certificates, results = [], []
    unread = []  # nobody knows what these are: they may be certificates
    for path in sorted(p for p in root.rglob("*") if p.name.endswith((".json", ".json.gz")) and not p.is_dir()):
        try:
            data = content(path)
        except Refused as error:
            unread.append(_unread(path.relative_to(root), str(error)))
            continue
        kind = _kind(data)
        if kind == "certificate":
            certificates.append((path, data))
        elif kind == "result":
            results.append((path, data))
    if not certificates and not results and not unread:
        raise InputError("holds neither certificates nor saved results", where=str(root), remedy="Give another folder")
    files = _files([root, *map(Path, networks)])
    checked = (*(_checked(path.relative_to(root), data, files, engine) for path, data in certificates), *unread)
    accepted = {c.digest: c for c in checked if not c.refused}
    recorded = tuple(_recorded(path.relative_to(root), data, accepted) for path, data in results)
    return Audit(folder=str(root), certificates=checked, results=recorded)


def _content(path: Path) -> bytes:
    try:
        return content(path)
    except Refused:
        return b""


def _kind(data: bytes) -> str:
    """What a JSON file is, whatever wrote it and in whichever order; of a damaged one by its first words.

    What is of another version is not passed over: it is refused, or cannot be read.
    """
    try:
        found = _object(plain_data(data, where=""))
    except InputError:
        head = b"".join(data[:200].split())
        marks = ((f'"format":"{_CERTIFICATE}', "certificate"), (f'"{FORMAT}":', "result"))
        return next((kind for mark, kind in marks if mark.replace(" ", "").encode() in head), "")
    if str(found.get("format", "")).startswith(_CERTIFICATE):
        return "certificate"
    return "result" if FORMAT in found else ""


def _files(places: Iterable[Path]) -> dict[str, bytes]:
    """The contents of all networks and properties at hand by their hashes."""
    found = {}
    for path in _network_files(places):
        data = _content(path)
        found[hashlib.sha256(data).hexdigest()] = data
    return found


def _network_files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            yield from (p for p in sorted(place.rglob("*")) if p.name.removesuffix(".gz").endswith(_NAMED))
        elif place.is_file():
            yield place
        else:
            raise InputError("no such file or folder", where=str(place))


def _checked(path: Path, data: bytes, files: Mapping[str, bytes], engine: str | None) -> Checked:
    report, refused, found = None, "", dict[str, Any]()
    try:
        with limited(SECONDS, MEMORY):
            found = read_json(data)
            report = Checker(found, files, engine).run()
    except Refused as error:
        refused = str(error)
    entries = found.get("networks") if isinstance(found.get("networks"), list) else []
    named = [
        (str(e.get("name", "")), str(e.get("sha256", "in the certificate")))
        for e in entries or []
        if isinstance(e, dict)
    ]
    text = found.get("property")
    return Checked(
        file=str(path),
        digest=hashlib.sha256(data).hexdigest(),
        size=len(data),
        claim=str(found.get("claim", "")),
        semantics=str(found.get("semantics", "real")),
        networks=tuple(named),
        text=str(text.get("sha256", "")) if isinstance(text, dict) else "",
        stated="" if refused else stated(plain_data(data, where=str(path))),
        report=report,
        refused=refused,
    )


def _unread(path: Path, reason: str) -> Checked:
    """A file of a certificate's name that cannot be read."""
    return Checked(
        file=str(path),
        digest="",
        size=0,
        claim="",
        semantics="",
        networks=(),
        text="",
        stated="",
        report=None,
        refused=reason,
    )


def _recorded(path: Path, content_: bytes, accepted: Mapping[str, Checked]) -> Recorded:
    try:
        data = _object(plain_data(content_, where=str(path)))
        if data.get(FORMAT) != NUMBER:
            raise InputError(f"a saved result of version {data.get(FORMAT)!r:.20}, which is not {NUMBER}")
    except InputError as error:
        reason = Lack.NOT_READ.said(error.reason)
        return Recorded(file=str(path), name="", verdict="", trust="", certificate="", reason=reason)
    digest = str(_object(data.get("certificate")).get("sha256", ""))
    if digest and digest in accepted:
        reason = _unlike(data, accepted[digest])
    elif digest:
        reason = Lack.NOT_AT_HAND.said("its certificate was refused, or is not in the folder")
    elif data.get("status") == "unknown":
        reason = Lack.NO_VERDICT.said("the answer is unknown")
    else:
        reason = str(data.get("uncertified") or Lack.NOT_ASKED.said("the verdict alone"))
    return Recorded(
        file=str(path),
        name=str(_object(data.get("property")).get("name", "")),
        verdict=str(data.get("status", "")),
        trust=str(data.get("trust") or ""),
        certificate=digest,
        reason=reason,
    )


def _unlike(data: Mapping[str, Any], made: Checked) -> str:
    """What an accepted certificate says other than the result that names it; empty where nothing."""
    sought = (data.get("status") == "verified") == (data.get("reading") == "exists")
    if data.get("status") not in ("verified", "falsified") or made.claim != ("sat" if sought else "unsat"):
        return Lack.OTHER_CLAIM.said(f"its certificate claims '{made.claim}', which is not its verdict")
    if (made.semantics == "real") != (data.get("semantics") == "real"):
        return Lack.OTHER_CLAIM.said(f"its certificate speaks of '{made.semantics}' semantics")
    if _object(data.get("property")).get("stated") != made.stated:
        return Lack.OTHER_CLAIM.said("its certificate states something else than was proved of its property")
    listed = data.get("networks")
    stored = {n.get("sha256") for n in map(_object, listed if isinstance(listed, list) else []) if n.get("stored")}
    read = {digest for _, digest in made.report.subjects} if made.report else set()  # what it lists may be unread
    about = stored <= read and read & {digest for _, digest in made.networks} <= stored
    return "" if about else Lack.OTHER_CLAIM.said("its certificate is about other networks")


def _object(value: Any) -> Mapping[str, Any]:
    """A JSON object; nothing of what is none."""
    return value if isinstance(value, dict) else {}
