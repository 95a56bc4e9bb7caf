"""Workers: what comes back, what is killed, and what is left behind (nothing)."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nnsym.solvers.workers import frames, memory
from nnsym.solvers.workers.runner import End, Job, Worker, Workers

MEGABYTE = 2**20


@pytest.fixture
def pool() -> Iterator[Workers]:
    made = Workers()
    yield made
    made.close()


def job(function: str = "run", payload: object = None, **limits: Any) -> Job:
    return Job(module="worker_jobs", function=function, payload=payload, **limits)


def living(pids: list[int]) -> list[int]:
    """Those that run (a zombie that nobody reaped does not)."""
    out = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        out += [pid] if state != "Z" else []
    return out


def wait_until_gone(pids: list[int]) -> bool:
    for _ in range(100):
        if not living(pids):
            return True
        time.sleep(0.05)
    return False


def test_arrays_come_back_and_the_worker_is_reused(pool: Workers) -> None:
    sent = {"a": np.arange(300_000.0), "b": (np.eye(2), "text", None)}
    first = pool.run("lane", job(payload=sent))
    second = pool.run("lane", job(payload=None))
    other = pool.run("other lane", job(payload=None))
    assert first.end is End.DONE
    (back, pid) = first.value
    assert (back["a"] == sent["a"]).all()
    assert back["b"][1:] == ("text", None)
    assert back["a"].flags.writeable
    assert second.value[1] == pid != other.value[1]


def test_a_module_on_a_path_that_is_newer_than_the_worker_is_found(
    pool: Workers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = pool.run("lane", job(payload=1))
    (tmp_path / "brought_later.py").write_text("def run(payload, report):\n    return payload + 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    later = pool.run("lane", Job(module="brought_later", payload=1))
    assert (later.end, later.value) == (End.DONE, 2)
    assert wait_until_gone([first.value[1]])


def test_start_up_imports_no_heavy_library(pool: Workers) -> None:
    loaded = set(pool.run("lane", job("modules")).value)
    assert not loaded & {"torch", "onnx", "onnxruntime", "scipy", "pyomo", "highspy", "z3", "gurobipy", "rich"}


def test_timeout_kills_and_keeps_what_was_streamed(pool: Workers) -> None:
    seen: list[tuple[float, float]] = []
    pool.run("lane", job())  # the limit is the job's, not the start's of its process
    start = time.monotonic()
    out = pool.run("lane", job("stream_then_hang", seconds=1.0), lambda low, high: seen.append((low, high)))
    assert time.monotonic() - start < 20, "it sleeps for 60 s"
    assert out.end is End.TIME
    assert (out.lower, out.upper, out.point_objective) == (-3.0, 5.0, 5.0)
    assert out.point is not None
    assert out.point.tolist() == [1.0, 2.0]
    assert seen == [(-3.0, 7.0)]
    assert pool.run("lane", job(payload=1)).value[0] == 1, "the next job gets a new worker"


def test_a_job_is_hurried_and_the_next_one_is_not(pool: Workers) -> None:
    """Also where what hurries comes when the job has just ended."""
    hurry = threading.Event()
    threading.Timer(0.2, hurry.set).start()
    waited = pool.run("lane", job("until_hurried", 60.0, hurry=hurry))
    assert (waited.end, waited.value) == (End.DONE, True)
    assert waited.seconds < 30
    for _ in range(5):
        assert pool.run("lane", job("until_hurried", 0.0, hurry=hurry)).end is End.DONE
        assert pool.run("lane", job("until_hurried", 0.1)).value is False


def test_a_killed_worker_takes_its_children_along(pool: Workers) -> None:
    pool.run("lane", job())
    out = pool.run("lane", job("hang_with_child", seconds=1.0))
    assert out.end is End.TIME
    assert out.point is not None
    assert wait_until_gone([int(out.point[0])])


@pytest.mark.parametrize("function", ["eat", "eat_in_child"])
def test_memory_limit_counts_worker_and_children(pool: Workers, function: str) -> None:
    size = 40 * MEGABYTE if function == "eat" else 400 * MEGABYTE
    out = pool.run("lane", job(function, size, seconds=20.0, memory=200 * MEGABYTE))
    assert out.end is End.MEMORY
    assert out.peak_memory > 200 * MEGABYTE
    assert out.seconds < 10


def test_peak_memory_is_of_the_job_not_of_the_worker(pool: Workers) -> None:
    large = pool.run("lane", job("use", 200 * MEGABYTE))
    small = pool.run("lane", job("use", 8))
    assert large.peak_memory > 200 * MEGABYTE
    assert small.peak_memory < large.peak_memory - 100 * MEGABYTE


def test_a_crash_is_an_error_with_its_last_words(pool: Workers) -> None:
    out = pool.run("lane", job("die"))
    assert out.end is End.FAILED
    assert "code 3" in out.error
    assert "the simplex fell over" in out.error
    raised = pool.run("lane", job("fail"))
    assert (raised.end, raised.error) == (End.FAILED, "ValueError: no such basis")


def test_no_worker_and_no_scratch_folder_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pool = Workers()
    pid = pool.run("lane", job()).value[1]
    assert list(tmp_path.iterdir()), "the worker has a folder of its own"
    pool.close()
    assert wait_until_gone([pid])
    assert not list(tmp_path.iterdir())


def test_workers_die_with_a_parent_that_was_killed_and_leave_no_folder(tmp_path: Path) -> None:
    code = """
import sys
from nnsym.solvers.workers.runner import Job, Workers
Workers().run("lane", Job(module="worker_jobs", function="hang_with_child", payload=None),)
"""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p), "TMPDIR": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "-c", code], env=env)
    pids: list[int] = []
    for _ in range(1200):  # as long as the job may take
        workers = memory.children(parent.pid)
        pids = workers + [c for w in workers for c in memory.children(w)]
        if len(pids) == 2:
            break
        time.sleep(0.05)
    assert len(pids) == 2, "a worker and its child"
    assert len(list(tmp_path.iterdir())) == 1, "its scratch folder"
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert wait_until_gone(pids)
    assert not list(tmp_path.iterdir())


def test_a_worker_whose_answers_nobody_takes_ends_with_its_children() -> None:
    """A parent that is killed may be missed by the job, which answers, before the requests are seen to end."""
    requests, answers = os.pipe(), os.pipe()
    scratch = tempfile.mkdtemp()
    code = f"from nnsym.solvers.workers.worker import main; main({requests[0]}, {answers[1]}, {scratch!r})"
    worker = subprocess.Popen([sys.executable, "-c", code], pass_fds=(requests[0], answers[1]), start_new_session=True)
    for fd in (requests[0], answers[1]):
        os.close(fd)
    frames.receive(answers[0])  # it is ready
    os.close(answers[0])
    frames.send(requests[1], ("worker_jobs", "child_then_answer", None, 60.0, 2**30))
    assert worker.wait(60) == -signal.SIGKILL
    os.close(requests[1])
    assert not Path(scratch).exists()


@pytest.mark.parametrize("few", range(7))
def test_a_worker_that_the_system_refuses_is_a_failed_job_and_leaves_nothing_open(few: int) -> None:
    """With room for ``few`` more files: two pipes, its errors, and what starting a process opens."""
    pool, before, usual = Workers(), open_files(), resource.getrlimit(resource.RLIMIT_NOFILE)
    most = sorted(set(range(usual[0])) - set(before))[few]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, usual[1]))
        out = pool.run("lane", job(seconds=30.0))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, usual)
    assert few >= 5 or out.end is End.FAILED
    assert out.end is End.DONE or "Too many open files" in out.error
    pool.close()
    assert open_files() == before
    assert pool.run("lane", job(payload=1)).value[0] == 1, "later there is room"
    pool.close()


def open_files() -> list[int]:
    """Descriptors of this process, without the one that lists them."""
    listed = os.listdir("/proc/self/fd")
    return sorted(int(fd) for fd in listed if os.path.exists(f"/proc/self/fd/{fd}"))


def test_a_forked_process_leaves_the_workers_of_its_parent_alone() -> None:
    code = """
import os, sys
from nnsym.solvers.workers.runner import Job, default_pool
def ask():
    return default_pool().run("lane", Job(module="worker_jobs", payload=1))
first = ask()
child = os.fork()
if not child:
    sys.exit(ask().value[0] != 1)  # its pool is closed as it leaves
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), ask().value == first.value)
"""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    said = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=300, check=True
    )
    assert said.stdout.split() == ["0", "True"]


def test_an_interrupt_kills_the_worker() -> None:
    worker = Worker()

    def interrupt(lower: float, upper: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        worker.run(job("stream_then_hang", seconds=20.0), interrupt)
    assert not worker.alive
    assert wait_until_gone([worker.pid])


def test_nothing_is_sent_after_the_deadline() -> None:
    """Not even where the other side takes all of it."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    assert not frames.send_until(writing, np.zeros(100), time.monotonic() - 1)
    assert frames.send_until(writing, np.zeros(100), time.monotonic() + 60)
    assert (frames.decode(frames.receive(reading)) == np.zeros(100)).all()
    os.close(reading)
    os.close(writing)
