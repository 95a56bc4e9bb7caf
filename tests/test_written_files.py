"""Files that nnsym writes: whole or as they were, on full disks, beside other processes, under names that are none."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import nnsym as nn
from nnsym.cli.main import app
from nnsym.errors import InputError
from nnsym.report.page import report_page
from nnsym.results.lines import LineFile
from nnsym.results.saved import write_file

X = nn.Variable(2, name="x")
F = nn.sequential([(np.array([[1.0, -1.0], [0.5, 2.0]]), np.zeros(2)), (np.ones((1, 2)), np.zeros(1))])
PROPERTY = nn.forall(X, where=nn.box(X, -1, 1), then=F(X)[0] <= 10)
NOISY = nn.smooth(nn.sequential([(np.eye(2), np.zeros(2))]), nn.gaussian(1))

WRITERS: dict[str, Callable[[Any], object]] = {
    "a result": lambda path: nn.verify(PROPERTY, "ibp").save(path),
    "an answer file": lambda path: nn.write_witness(PROPERTY, nn.verify(PROPERTY, "ibp"), path),
    "a certificate": lambda path: nn.verify(PROPERTY, "ibp", certificate=path),
    "a property": lambda path: nn.save(PROPERTY, path),
    "a drawing": lambda path: nn.draw_network(F, path),
    "evidence": lambda path: nn.evidence(NOISY, [3, 0], n=100, n0=10).save(path),
    "a record of runs": lambda path: nn.compare(PROPERTY, ["ibp"], record=path),
    "a record of a search": lambda path: nn.verify(PROPERTY, nn.bab(log=path)),
    "a record of a table": lambda path: nn.table(
        _robust, (np.zeros((1, 2)), np.zeros(1, int)), "ibp", eps=1, file=path
    ),
}


def _robust(x: Any, label: Any, eps: Any) -> Any:
    return nn.props.robust(NOISY.network, x, label, eps)


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("what", WRITERS)
@pytest.mark.parametrize("name", ["a\0b", "half \ud800", "a" * 300])
def test_a_name_that_no_file_has_is_an_input_error(what: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        WRITERS[what](f"{tmp_path}/{name}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("what", WRITERS)
def test_a_full_disk_loses_nothing_that_was_there(what: str, tmp_path: Path) -> None:
    path = tmp_path / "kept"
    WRITERS[what](path)
    before = path.read_bytes()
    with room_for(len(before) // 2):
        if what in (
            "a certificate",  # the result is worth more: it says so
            "a record of a search",  # what is known is not written again
            "a record of a table",
        ):
            WRITERS[what](path)
        else:
            with pytest.raises(InputError, match="cannot write"):
                WRITERS[what](path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_replaced_and_keeps_its_rights_and_its_links(tmp_path: Path) -> None:
    path, link = tmp_path / "file", tmp_path / "link"
    write_file(path, "old")
    path.chmod(0o600)
    link.symlink_to(path)
    write_file(link, "new")
    assert path.read_text() == "new"
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o600


def test_devices_are_written_to(tmp_path: Path) -> None:
    write_file("/dev/null", "text")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(InputError, match="No space left"):
        write_file("/dev/full", "text")
    command = [sys.executable, "-c", "from nnsym.results.saved import write_file; write_file('/dev/stdout', 'text')"]
    out = tmp_path / "out"
    with out.open("w") as stream:
        subprocess.run(command, stdout=stream, check=True)
    assert out.read_text() == "text"


def test_lines_are_added_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_text("one\ntorn")
    lines = LineFile(path)
    assert (lines.whole, lines.torn) == (b"one\n", b"torn")
    assert path.read_text() == "one\ntorn"  # as it was, until there is something to add
    with room_for(8), pytest.raises(InputError, match="cannot write"):
        lines.append("two\nthree\n")
    assert path.read_text() == "one\n"
    lines.append("two\n")
    lines.close()
    assert path.read_text() == "one\ntwo\n"


OTHER = """import sys
from pathlib import Path
from nnsym.errors import InputError
from nnsym.results.lines import LineFile
try:
    LineFile(Path(sys.argv[1])).append("other\\n")
except InputError as error:
    print(error)
"""


def test_two_processes_do_not_write_one_record(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    lines = LineFile(path)
    lines.append("one\n")
    ask = [sys.executable, "-c", OTHER, str(path)]
    assert "another process is writing it" in subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    assert path.read_text() == "one\n"
    lines.close()
    subprocess.run(ask, check=True)
    assert path.read_text() == "one\nother\n"


def test_a_torn_line_spoils_no_line_after_it(tmp_path: Path) -> None:
    path = tmp_path / "runs.jsonl"
    nn.compare(PROPERTY, ["ibp"], record=path)
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:100])
    nn.compare(PROPERTY, ["crown"], record=path)
    lines = path.read_text().splitlines()
    assert [json.loads(lines[k])["method"] for k in (0, 2)] == ["ibp", "crown"]
    assert "Left out: 1 line torn" in report_page(path)


def test_lines_of_many_writers_stay_apart(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    line = "x" * 100_000
    write = f"from nnsym.results.lines import append_line\nfor _ in range(50): append_line({str(path)!r}, {line!r})"
    children = [subprocess.Popen([sys.executable, "-c", write]) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    assert path.read_text() == f"{line}\n" * 100


def test_a_folder_that_takes_no_files_is_said_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the record that ``nnsym compare`` keeps unasked too."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(InputError, match=r"permission denied\. Name a file elsewhere"):
        write_file("a.json", "{}")
    done = CliRunner().invoke(app, ["compare", "p.txt"])
    assert "nnsym-runs.jsonl: cannot write here: permission denied. Name its record elsewhere: --record FILE" in str(
        done.exception
    )
