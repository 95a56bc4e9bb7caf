"""Trajectories: the numbers are those of the loop run by hand, under the names and units of the first state."""

from __future__ import annotations

import numpy as np
import pytest

import nnsym as nn

A, B = np.array([[1, 0.5], [0, 1]]), np.array([[0.125], [0.5]])
F = nn.zoo.random_mlp(2, widths=(2, 4, 1))


def loop(steps: int = 3):
    x = nn.Variable(2, name="x", names=["pos", "vel"], units=["m", "m/s"])
    states, commands = [x], []
    for _ in range(steps):
        commands.append(F(states[-1]))
        states.append(A @ states[-1] + B @ commands[-1])
    return states, commands


def test_values_are_those_of_the_loop():
    states, commands = loop()
    p = nn.forall(states[0], where=nn.box(states[0], -1, 1), then=states[-1][0] >= 50)
    found = nn.verify(p, "attack").counterexample
    run = nn.trajectory({"x": states, "u": commands}, found)
    here = np.float64(found.inputs["x"]).ravel()
    for k in range(3):
        u = F(here)
        assert np.allclose(run.values[k], [*here, *u])
        here = A @ here + B @ u
    assert np.allclose(run.values[3, :2], here)
    assert np.isnan(run.values[3, 2])
    assert run.headings == ("pos [m]", "vel [m/s]", "u")
    assert run.to_records()[3]["u"] is None


def test_its_text_is_a_table_with_units():
    states, _ = loop(1)
    run = nn.trajectory(states, [1, -1])
    lines = str(run).splitlines()
    assert lines[0].split() == ["step", "pos", "[m]", "vel", "[m/s]"]
    assert lines[1].split() == ["0", "1", "-1"]
    assert len(lines) == 3
    assert run._repr_html_().count("<tr>") == 3
    with pytest.raises(nn.LanguageError, match="neither true nor false"):
        bool(run)


def test_names_of_two_sequences_are_told_apart():
    a, b = nn.Variable(1, name="a"), nn.Variable(2, name="b", names=["s", "t"])
    c = nn.Variable(2, name="c", names=["s", "t"])
    run = nn.trajectory({"b": [b], "c": [c], "a": [a, a + 1]}, {"a": 1, "b": [2, 3], "c": [4, 5]})
    assert run.names == ("b.s", "b.t", "c.s", "c.t", "a.a")
    assert run.values[1, 4] == 2


def test_frame_and_picture(tmp_path):
    pytest.importorskip("matplotlib")
    states, commands = loop()
    run = nn.trajectory({"x": states, "u": commands}, [1, 0])
    assert run.to_frame()["pos"].tolist() == run.values[:, 0].tolist()
    figure = run.plot(tmp_path / "run.svg", title="loop")
    assert [axes.get_ylabel() for axes in figure.axes] == ["x", "u"]
    labels = [line.get_label() for line in figure.axes[0].lines]
    assert labels == ["pos [m]", "vel [m/s]"]
    assert np.allclose(figure.axes[0].lines[1].get_ydata(), run.values[:, 1])
    assert (tmp_path / "run.svg").stat().st_size > 1000


def test_what_is_no_trajectory_is_refused():
    states, commands = loop(1)
    with pytest.raises(nn.LanguageError, match="no steps"):
        nn.trajectory([], [1, 0])
    with pytest.raises(nn.LanguageError, match="have 1 and 2 elements"):
        nn.trajectory([states[0], commands[0]], [1, 0])
    with pytest.raises(nn.InputError, match="verified property has no counterexample"):
        nn.trajectory(states, None)
