"""The fuzzer of readers: a few cases, and every planted fault is caught."""

from __future__ import annotations

import pytest

from tests.fuzz.readers import _CONTROLS, _caught, fuzz

pytestmark = pytest.mark.slow


def test_some_cases() -> None:
    report = fuzz(0, 60, cases=300)
    assert report.cases == 300
    assert report.clean, "\n".join(report.lines)


@pytest.mark.parametrize("control", _CONTROLS)
def test_controls(control: str) -> None:
    assert _caught(control, _CONTROLS[control])
