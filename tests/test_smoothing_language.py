"""A smoothed classifier in the language: what is said of it, who may say it, and how it travels."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from smoothed import half_space, robust_at_zero, smoothed_half_space

import nnsym as nn
from nnsym.errors import InputError, LanguageError, UnsupportedError
from nnsym.results.plain import result_json
from nnsym.results.result import Deployed, Trust, Verdict


def test_a_ball_is_verified_falsified_or_left_open() -> None:
    g = smoothed_half_space()
    held = nn.verify(robust_at_zero(g, 0.9), nn.sampling(n=20_000))
    assert held.status is Verdict.VERIFIED
    assert (held.trust, held.lower_trust, held.upper_trust) == (Trust.STATISTICAL,) * 3
    assert held.confidence == 0.999
    assert held.deployed is Deployed.OPEN
    assert 0 < held.lower < held.upper < 1.001
    wrong = nn.verify(robust_at_zero(g, 0.1, label=0), nn.sampling(n=2_000))
    assert wrong.status is Verdict.FALSIFIED
    assert wrong.trust is Trust.STATISTICAL
    beyond = nn.verify(robust_at_zero(g, 1.01), nn.sampling(n=20_000))
    assert (beyond.status, beyond.reason, beyond.trust) == (Verdict.UNKNOWN, "abstain", None)


def test_what_is_said_of_a_verdict() -> None:
    result = nn.verify(robust_at_zero(smoothed_half_space(), 0.5), nn.sampling(n=2_000, alpha=0.01))
    assert "statistical (confidence 0.99)" in repr(result)
    assert result.rests_on == "samples of the smoothed classifier, with confidence 0.99"
    told = result_json(result)
    assert (told["trust"], told["confidence"]) == ("statistical", 0.99)
    assert told["evidence"]["counts"] == list(result.evidence.counts)


def test_results_and_evidence_travel(tmp_path: Path) -> None:
    result = nn.verify(robust_at_zero(smoothed_half_space(), 0.5), nn.sampling(n=2_000))
    back = nn.load_result(result.save(tmp_path / "result.json"))
    assert (back.trust, back.confidence, back.evidence) == (Trust.STATISTICAL, 0.999, result.evidence)
    found = nn.load_evidence(result.evidence.save(tmp_path / "evidence.json"))
    assert found == result.evidence
    assert found.radius() == result.evidence.radius() > 0.5


@pytest.mark.parametrize(
    "change",
    [{"counts": [1]}, {"counts": [-1, 5]}, {"noise": "exec(1)"}, {"noise": "gaussian(-1)"}, {"stop": "when I like"}],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    path = nn.evidence(smoothed_half_space(), [0, 0], n=100).save(tmp_path / "evidence.json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(InputError):
        nn.load_evidence(path)


def test_other_methods_refuse_a_smoothed_classifier() -> None:
    prop = robust_at_zero(smoothed_half_space(), 0.5)
    for method in ("ibp", "crown", "attack", "bigm", "smt", "bab", nn.portfolio(["attack", "crown"])):
        with pytest.raises(UnsupportedError, match=r"is an expectation over noise.*nn\.sampling"):
            nn.verify(prop, method)
    x = prop.variables[0]
    for ask in (
        lambda: nn.export(prop, "never.lp"),
        lambda: nn.bounds(prop),
        lambda: nn.minimize(smoothed_half_space()(x)[0], where=nn.box(x, 0, 1)),
        lambda: prop([0, 0]),
        lambda: prop.margin([0, 0]),
        lambda: nn.verify(prop, semantics="deployed"),
        lambda: nn.verify(prop, certificate=True),
    ):
        with pytest.raises(UnsupportedError, match="expectation over noise"):
            ask()
    with pytest.raises(LanguageError, match="expectation over noise"):
        smoothed_half_space()(np.zeros(2))


def test_sampling_refuses_a_function_and_what_it_cannot_judge() -> None:
    f, g = half_space(), smoothed_half_space()
    x = nn.Variable(2, name="x")
    ball = nn.ball(x, [0, 0], 0.5, p=2)
    with pytest.raises(UnsupportedError, match=r"speaks of smoothed classifiers.*nn\.smooth"):
        nn.verify(nn.forall(x, where=ball, then=nn.argmax(f(x)) == 1), "sampling")
    for prop in (
        nn.forall(x, where=ball, then=f(x)[0] <= g(x)[1]),
        nn.forall(x, where=ball, then=g(x)[1] >= g(x / 2)[0]),
        nn.forall(x, where=nn.box(x, 0, np.inf), then=g(x)[1] >= g(x)[0]),
        nn.exists(x, where=ball, then=nn.argmax(g(x)) == 0),
        nn.forall(x, where=[ball, g(x)[0] <= 0.1], then=nn.argmax(g(x)) == 1),
    ):
        with pytest.raises(UnsupportedError, match="sampling cannot judge"):
            nn.verify(prop, "sampling")


def test_a_slack_relaxes_and_progress_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nnsym.judge.sampling._TELL", 0.0)
    g = smoothed_half_space(size=100)
    prop = robust_at_zero(g, 1.05)
    assert not nn.verify(prop, nn.sampling(n=20_000)).verified
    told: list[tuple[float, float]] = []
    slack = nn.verify(prop, nn.sampling(n=300_000), slack=0.2, progress=lambda *sides: told.append(sides))
    assert slack.verified
    assert "slack of 0.2" in slack.reason
    assert told
    assert all(lower <= slack.lower + 1e-9 for lower, _ in told)


def test_without_a_method_it_is_sampled() -> None:
    result = nn.verify(robust_at_zero(smoothed_half_space(), 0.5))
    assert (result.status, result.method) == (Verdict.VERIFIED, "sampling")
    table = nn.compare(robust_at_zero(smoothed_half_space(), 0.5), ["sampling", "crown"])
    assert [row.result is None for row in table.rows] == [False, True]


def test_any_formula_over_probabilities() -> None:
    g = smoothed_half_space()
    x = nn.Variable(2, name="x")
    ball = nn.ball(x, [0, 0], 0.5, p=2)
    truth = 0.8413  # Phi(1), the probability of class 1 at distance 1/2 from the boundary
    for bound, holds in ((truth - 0.01, True), (truth + 0.01, False)):
        prop = nn.forall(x, where=ball, then=(g(x)[1] >= bound) & (g(x)[0] <= 1 - bound))
        assert nn.verify(prop, nn.sampling()).verified is holds
    everywhere = nn.forall(x, where=ball, then=g(x).sum() <= 1.001)
    assert nn.verify(everywhere, nn.sampling(n=100)).verified


def test_boxes_and_clipped_balls_count_as_what_they_are() -> None:
    g = smoothed_half_space()
    x = nn.Variable(2, name="x")
    side = 0.9 / np.sqrt(2)
    then = nn.argmax(g(x)) == 1
    assert nn.verify(nn.forall(x, where=nn.box(x, -side, side), then=then), nn.sampling()).verified
    assert not nn.verify(nn.forall(x, where=nn.box(x, -0.9, 0.9), then=then), nn.sampling()).verified
    clipped = nn.ball(x, [0, 0], 5, p=2, within=(-0.1, 0.1))
    assert nn.verify(nn.forall(x, where=clipped, then=then), nn.sampling()).verified
    off = nn.ball(x, [0, 0], 1, p=2, within=(0.25, 0.5))  # the point that is sampled is not in the domain
    assert nn.verify(nn.forall(x, where=off, then=nn.argmax(g(x)) == 0), nn.sampling()).reason == "abstain"


def test_text_hash_and_pickle() -> None:
    g = nn.smooth(half_space(), nn.gaussian([0.5, 0.25]))
    prop = robust_at_zero(g, 0.3)
    assert "smooth(half, gaussian([0.5, 0.25]))(x)" in str(prop)
    assert nn.parse(nn.dumps(prop), [half_space()]).hash == prop.hash
    assert pickle.loads(pickle.dumps(prop.query)).hash == prop.hash
    assert robust_at_zero(nn.smooth(half_space(), nn.gaussian(0.5)), 0.3).hash != prop.hash
    assert robust_at_zero(smoothed_half_space(), 0.3)._repr_latex_() is not None


@pytest.mark.parametrize(
    "options",
    [
        {"n": 1},
        {"n0": 0},
        {"alpha": 0},
        {"alpha": 1.5},
        {"stop": "never"},
        {"certificate": "order2"},
        {"certificate": "dsrs:2"},
        {"classes": "some"},
        {"seed": -1},
        {"stop": "sequential", "classes": "all"},
    ],
)
def test_options_out_of_range(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        nn.sampling(**options)


def test_noise_that_does_not_fit() -> None:
    with pytest.raises(InputError, match="2 elements"):
        nn.smooth(half_space(), nn.gaussian([1, 2, 3]))
    with pytest.raises(InputError):
        nn.smooth(half_space(), nn.general_gaussian(1, 1))
    with pytest.raises(InputError, match="positive"):
        nn.laplace(-1)
    with pytest.raises(InputError, match="two classes"):
        nn.smooth(nn.sequential([([[1, 1]], [0])]), nn.gaussian(1))
    with pytest.raises(InputError, match="double sampling takes general Gaussian"):
        nn.evidence(smoothed_half_space(), [0, 0], certificate="dsrs")
    with pytest.raises(InputError, match="Gaussian noise of one sigma"):
        nn.evidence(nn.smooth(half_space(), nn.laplace(1)), [0, 0], certificate="order1")


def test_time_that_is_over_leaves_bounds_that_may_stop_anywhere() -> None:
    prop = robust_at_zero(smoothed_half_space(size=400), 0.1)
    result = nn.verify(prop, nn.sampling(n=10**8), timeout=0.5)
    assert result.evidence.stop == "sequential"
    assert 0 < result.evidence.n < 10**8
    assert result.status is Verdict.VERIFIED


def test_a_radius_is_read_off_one_draw() -> None:
    g = smoothed_half_space()
    found = nn.radius(g, [0, 0], 1, nn.sampling(n=20_000), high=3, p=2)
    assert found.certified == pytest.approx(found.certificate.evidence.radius(), rel=1e-6)
    assert 0.95 < found.certified <= 1.0
    assert found.certificate.trust is Trust.STATISTICAL
    assert nn.radius(g, [0, 0], 1, nn.sampling(n=20_000), high=0.5, p=2).certified == 0.5
    assert nn.radius(g, [0, 0], 0, nn.sampling(n=2_000), high=3, p=2).certified == -np.inf
    for method in ("crown", nn.sampling(stop="sequential")):
        with pytest.raises(InputError, match="gives no radius"):
            nn.radius(g, [0, 0], 1, method, high=3, p=2)
    assert nn.verify(nn.props.robust(g, [0, 0], 1, 0.5, p=2), nn.sampling(n=2_000)).verified


def test_an_empty_precondition_is_said() -> None:
    g = smoothed_half_space()
    x = nn.Variable(2, name="x")
    where = [nn.ball(x, [0, 0], 0.1, p=2), nn.box(x, 0.09, 0.2)]
    result = nn.verify(nn.forall(x, where=where, then=nn.argmax(g(x)) == 1), nn.sampling(n=1_000))
    assert result.verified
    assert result.vacuous
