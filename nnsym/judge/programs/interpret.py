"""What a solver's answer establishes: its claims are read, its point is replayed, its word is probed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from nnsym.ir.query import Query
from nnsym.judge.probe import NOISE, least_margin, margins, nominal_violation
from nnsym.judge.programs.solved import Solved
from nnsym.judge.repair import repaired
from nnsym.judge.run import NEAR_ZERO, SAID, settle_tight
from nnsym.judge.verdict import Facts, rule
from nnsym.program import Program
from nnsym.replay import Outcome, Replay, confirm, replay_once, stronger
from nnsym.replay import replay as run_replay
from nnsym.results.clock import Clock
from nnsym.results.result import Trust
from nnsym.solvers.base import Status


def read(solved: Solved, clock: Clock) -> Facts:
    """What a solver's answer says; what rests on its word alone is probed."""
    facts = solved.facts
    if not facts.conclusive_empty and rule(replace(facts, nominal=True)).trust is Trust.SOLVER:
        return probe(solved.query, solved.program, facts, clock)
    return facts


def interpret(solved: Solved, clock: Clock) -> tuple[Facts, Replay | None]:
    """Turn a solver's answer into facts: read it, replay its point, settle tight bounds."""
    query, facts = solved.query, read(solved, clock)
    replayed, candidate = None, solved.candidate
    if candidate is not None:
        violating = solved.answer.objective < NEAR_ZERO or not solved.minimises
        with clock.step("replay") as notes:
            end = clock.deadline()
            attempt = run_replay if violating else replay_once
            replayed = attempt(query, candidate, deadline=end)
            if violating and replayed.outcome is not Outcome.CONFIRMED:
                near = repaired(query, candidate, conclusion=True, seconds=clock.left)
                replayed = stronger(replayed, confirm(query, near, deadline=end))
            notes.append(f"{SAID[replayed.outcome] if violating else 'evaluated'}, margin {replayed.margin:.6g}")
            here = margins(query, {x: v[None] for x, v in candidate.items()})
        facts = replace(facts, attained=min(facts.attained, float(here[0])))
        if violating or replayed.outcome is Outcome.CONFIRMED:
            facts = replace(facts, replay=replayed.outcome)
    if replayed is None or replayed.outcome is not Outcome.CONFIRMED:
        facts = settle_tight(query, solved.bounds, facts, clock)
    return facts, replayed


def probe(query: Query, program: Program, facts: Facts, clock: Clock) -> Facts:
    """Look for a run of the network that contradicts what rests on the solver's word alone."""
    with clock.step("probing") as notes:
        attained = least_margin(query, deadline=clock.deadline())
        notes.append(f"least margin {attained:.6g}")
        if facts.status is not Status.INFEASIBLE:
            return replace(facts, attained=attained)
        worst, origin = nominal_violation(query, program)
        notes.append(f"nominal run violates rows by {worst:.3g} {origin}".rstrip())
    return replace(facts, attained=attained, nominal=worst <= NOISE and attained == np.inf)
