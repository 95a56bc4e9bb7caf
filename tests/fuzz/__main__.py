"""Fuzzers: ``python -m tests.fuzz [HARNESS] [--seed 0] [--seconds 60] [--controls]``.

Each case has a seed; the harnesses share the seconds. ``--cases 1`` repeats one case. Leaves with 1 if an answer was
wrong, something raised what is no answer, or a planted fault was not caught.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before numpy and torch are imported

from tests.fuzz.report import Report, table  # noqa: E402

HARNESSES = ("readers", "properties", "operators", "optima", "searches", "certificates", "sources")


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for, print the table, and say whether everything was right."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("harness", nargs="?", default="all", choices=(*HARNESSES, "all"))
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--seconds", type=float, default=60.0, help="wall seconds for all harnesses together")
    parser.add_argument("--cases", type=int, default=None, help="at most so many cases each")
    parser.add_argument("--controls", action="store_true", help="also plant faults, which have to be caught")
    asked = parser.parse_args(arguments)
    chosen = HARNESSES if asked.harness == "all" else (asked.harness,)
    reports = []
    for harness in chosen:
        module = importlib.import_module(f"tests.fuzz.{harness}")
        seconds = asked.seconds / len(chosen)
        report: Report = module.fuzz(asked.seed, seconds, cases=asked.cases, controls=asked.controls)
        reports.append(report)
        print(f"{report.name}: {report.cases} cases", file=sys.stderr, flush=True)
    print(table(reports))
    return 0 if all(report.clean for report in reports) else 1


if __name__ == "__main__":
    sys.exit(main())
