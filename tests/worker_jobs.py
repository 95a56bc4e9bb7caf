"""Jobs that tests run inside workers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

import numpy as np


def run(payload: Any, report: Any) -> Any:
    """Back what came, after noise on stdout."""
    print("noise on stdout must not break the protocol", flush=True)
    return payload, os.getpid()


def modules(payload: Any, report: Any) -> list[str]:
    return sorted(sys.modules)


def stream_then_hang(payload: Any, report: Any) -> None:
    report.bounds(-3.0, 7.0)
    report.point(np.array([1.0, 2.0]), 5.0)
    report.point(np.array([9.0, 9.0]), 6.0)
    time.sleep(60)


def hang_with_child(payload: Any, report: Any) -> None:
    child = subprocess.Popen(["sleep", "60"])
    report.point(np.array([float(child.pid)]), 0.0)
    time.sleep(60)


def child_then_answer(payload: Any, report: Any) -> None:
    subprocess.Popen(["sleep", "60"])


def until_hurried(payload: Any, report: Any) -> bool:
    return bool(report.hurry.wait(payload))


def eat(size: int, report: Any) -> None:
    held = []
    while True:
        held.append(np.ones(size // 8))
        time.sleep(0.02)


def eat_in_child(size: int, report: Any) -> None:
    code = f"import time; x = b'1' * {size}; time.sleep(60)"
    subprocess.run([sys.executable, "-c", code], check=False)


def use(size: int, report: Any) -> int:
    return len(np.ones(size // 8))


def die(payload: Any, report: Any) -> None:
    print("first line", file=sys.stderr)
    print("the simplex fell over", file=sys.stderr, flush=True)
    os._exit(3)


def fail(payload: Any, report: Any) -> None:
    raise ValueError("no such basis")


def use_cut(cut: Any, report: Any) -> tuple[str, Any]:
    """Back what a family of cuts says when it is used here."""
    return cut.name, cut.separator(None)(None)
