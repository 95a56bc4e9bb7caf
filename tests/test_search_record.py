"""The record of a search: gone on from, refused, and whole after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nnsym.errors import InputError
from nnsym.ir.query import Query
from nnsym.testing.random_nets import random_network, random_query
from tests.interval_engine import IntervalEngine
from tests.searching import ran


def _record(tmp_path: Path, seed: int = 1) -> tuple[Query, Path]:
    query = random_query(random_network("residual", seed), seed)
    return query, tmp_path / "search.jsonl"


def test_a_record_is_gone_on_from(tmp_path: Path) -> None:
    """Cut anywhere, torn anywhere: the verdict, the closed mass and the bound are those of the whole run."""
    query, path = _record(tmp_path)
    engine = IntervalEngine(query)
    whole = ran(query, "bab:longest:batch=4", engine=engine, log=path, nodes=10**6, seconds=20)
    text = path.read_bytes()
    assert whole.search.exhausted
    for share in (0.05, 0.3, 0.6, 0.95):
        path.write_bytes(text[: int(share * len(text))])
        again = ran(query, "bab:longest:batch=4", engine=IntervalEngine(query), log=path, nodes=10**6, seconds=20)
        assert again.search.exhausted
        assert again.search.census.mass == whole.search.census.mass == 1
        assert 0 < again.search.lower <= whole.least
        assert all(json.loads(line) for line in path.read_text().splitlines())
    path.write_bytes(text)
    done = ran(query, "bab:longest", engine=(idle := IntervalEngine(query)), log=path)
    assert (idle.calls, done.search.lower, done.search.census.mass) == (0, whole.search.lower, 1)


def test_a_record_of_something_else_is_refused(tmp_path: Path) -> None:
    query, path = _record(tmp_path)
    ran(query, "bab:longest", engine=IntervalEngine(query), log=path, nodes=50)
    other = random_query(random_network("residual", 2), 2)
    with pytest.raises(InputError, match="the record of another query"):
        ran(other, "bab", log=path)
    path.write_text('{"something": "else"}\n')
    with pytest.raises(InputError, match="no record of a search"):
        ran(query, "bab", log=path)
    ran(query, "bab:longest", engine=IntervalEngine(query), log=(fresh := tmp_path / "two"), nodes=50)
    lines = fresh.read_text().splitlines()
    fresh.write_text("\n".join([lines[0], "{broken", *lines[1:]]) + "\n")
    with pytest.raises(InputError, match="not a line of a record"):
        ran(query, "bab", log=fresh)


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0].replace('"goal":"decide"', '"goal":"minimise"'), *lines[1:]],
        lambda lines: [lines[0].replace('"version":"', '"version":"0'), *lines[1:]],
        lambda lines: [lines[0], lines[-1], *lines[1:]],
        lambda lines: [*lines, '{"close":[[-1,0.5]]}'],
        lambda lines: [lines[0], '{"split":[[0,-1,0,0.5,1,null]]}'],
        lambda lines: [lines[0], '{"split":[[0,0,99,0.5,1,null]]}'],
        lambda lines: [lines[0], '{"split":[[0,0]]}'],
    ],
    ids=["a minimum", "another version", "twice", "no such part", "no such place", "no such element", "too short"],
)
def test_a_record_that_does_not_fit_proves_nothing(tmp_path: Path, change: Callable[[list[str]], list[str]]) -> None:
    """What a minimum closed has a bound above the best value, not above 0; places are numbered by each version."""
    query, path = _record(tmp_path)
    ran(query, "bab:longest:batch=4", engine=IntervalEngine(query), log=path, nodes=50)
    path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    with pytest.raises(InputError):
        ran(query, "bab:longest:batch=4", engine=IntervalEngine(query), log=path)


def test_a_file_that_is_no_record_is_left_as_it_is(tmp_path: Path) -> None:
    query, path = _record(tmp_path)
    path.write_text("notes without an end of line")
    with pytest.raises(InputError, match="no record of a search"):
        ran(query, "bab:longest", engine=IntervalEngine(query), log=path)
    assert path.read_text() == "notes without an end of line"


JOB = """
import sys
from pathlib import Path
from nnsym.testing.random_nets import random_network, random_query
from tests.interval_engine import IntervalEngine
from tests.searching import ran
query = random_query(random_network("residual", 1), 1)
ran(query, "bab:longest:batch=1", engine=IntervalEngine(query), log=Path(sys.argv[1]), nodes=10**7, seconds=60)
"""


def test_nothing_is_lost_to_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "search.jsonl"
    child = subprocess.Popen([sys.executable, "-c", JOB, str(path)])
    end = time.monotonic() + 60
    while (not path.exists() or path.stat().st_size < 5000) and time.monotonic() < end and child.poll() is None:
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    query, _ = _record(tmp_path)
    again = ran(query, "bab:longest", engine=IntervalEngine(query), log=path, nodes=10**6, seconds=20)
    assert again.search.exhausted
    assert again.search.census.mass == 1
    again.check("after a kill")


def test_a_record_gives_back_the_same_parts(tmp_path: Path) -> None:
    """What is open after going on is what was open before: the same limits under the same numbers."""
    query, path = _record(tmp_path)
    first = ran(query, "bab:random:batch=4", engine=IntervalEngine(query), log=path, nodes=30)
    before = {int(k): block.take([i]) for block in first.search.frontier.blocks for i, k in enumerate(block.number)}
    again = ran(query, "bab:random:batch=4", engine=IntervalEngine(query), log=path, nodes=30, seconds=0.0)
    after = {int(k): block.take([i]) for block in again.search.frontier.blocks for i, k in enumerate(block.number)}
    assert set(before) == set(after)
    assert len(before) > 3
    for number, node in before.items():
        other = after[number]
        assert (node.depth, node.opened.tolist()) == (other.depth, other.opened.tolist())
        for place, limit in node.domains.limits.items():
            assert (limit.lower >= other.domains.limits[place].lower).all()  # cuts are found again
            assert (limit.upper <= other.domains.limits[place].upper).all()
