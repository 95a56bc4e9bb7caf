"""Memory of a worker and its children, read from ``/proc`` (Linux) or ``ps`` (elsewhere)."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
#: Address space beyond the memory limit: thread stacks, arenas and mapped libraries that are never resident.
_HEADROOM = 2 * 2**30


def tree_rss(pid: int) -> int:
    """Resident bytes of a process and all its descendants; 0 where they are gone."""
    if not Path("/proc/self/statm").exists():
        return _group_rss_by_ps(pid)
    total, todo = 0, [pid]
    while todo:
        one = todo.pop()
        try:
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * _PAGE
            todo += children(one)
        except OSError:  # it ended between two reads
            continue
    return total


def children(pid: int) -> list[int]:
    """Processes started by a process (Linux; elsewhere none are known)."""
    found: list[int] = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(child) for child in (task / "children").read_text().split()]
    except OSError:
        return found
    return found


def _group_rss_by_ps(pid: int) -> int:
    listing = subprocess.run(["ps", "-A", "-o", "pgid=,rss="], capture_output=True, text=True, check=False).stdout
    rows = (line.split() for line in listing.splitlines())
    return sum(int(row[1]) * 1024 for row in rows if len(row) == 2 and int(row[0]) == pid)


def reset_peak() -> None:
    """Start a new peak for this process (Linux; elsewhere the peak is the process's)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak() -> int:
    """Peak resident bytes of this process since :func:`reset_peak`."""
    try:
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def limit_address_space(memory: int) -> None:
    """Let this process and its children reserve at most ``memory`` more than now, plus headroom."""
    try:
        now = int(Path("/proc/self/statm").read_text().split()[0]) * _PAGE
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        wanted = now + memory + _HEADROOM
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))
    except (OSError, ValueError):  # not Linux: the parent's polling is the limit
        return
