"""Mutation testing of what soundness rests on: the encodings, the layers they share, and the verdict.

    python scripts/mutate.py                      every mutant of every file below (hours on two cores)
    python scripts/mutate.py bigm.py verdict.py   those files only
    python scripts/mutate.py check/ --sample 40   40 mutants, drawn by --seed, of each file of a folder
    python scripts/mutate.py --list triangle.py   the mutants, without running anything

A mutant is the source with one place changed: a sign, a comparison, a constant, ``min`` for ``max``, ``left`` for
``right``, ``lower=`` for ``upper=``, a rounding to the other side, a step of a sum or a guard that is left out. It is
written into a copy of the tree in a temporary folder, and of the file's tests those that run the changed line run
against it, the quickest first, until one fails; what no test notices is listed. A survivor is a missing test or a
change without effect; scripts/equivalent_mutants.txt lists the latter with reasons. The exit code is 1 if there are
others.
"""

from __future__ import annotations

import argparse
import tempfile
from multiprocessing import get_context
from pathlib import Path
from random import Random

from mutation_session import Arena
from mutations import ROOT, Mutant, mutants

EQUIVALENT = ROOT / "scripts" / "equivalent_mutants.txt"

SHARED = ("test_encode_affine", "test_encode_formula", "test_encode_spec")
RULES = ("test_encoding_bigm", "test_encoding_triangle", "test_encoding_smt", "test_encoding_edges")
JUDGES = ("test_lattice", "test_agreement")
CHECKER = (
    *("test_check_rule", "test_check_rounding", "test_check_tree", "test_check_readers", "test_check_second"),
    *("test_check_attacks", "test_check_enemy", "test_check_floats", "test_check_kinds", "test_check_lines"),
    *("test_check_mutations", "test_check_range", "test_check_runtimes", "test_check_operators", "test_check_bytes"),
    *("test_check_protobuf", "test_engines"),
)
KEPT = (
    "test_kept_plan",
    "test_bounds_affine",
    "test_kept_engine",
    "test_kept_refine",
    "test_kept_cuts",
    "test_kept_domains",
    "test_kept_soundness",
)
BOUNDS = (
    "test_bounds_affine",
    *("test_bounds_relaxations", "test_bounds_inputs", "test_bounds_maps", "test_bounds_crown", "test_bounds_forward"),
    *("test_bounds_optimise", "test_bounds_blocks", "test_bounds_edges", "test_bounds_soundness"),
)
REPLAY = ("test_replay", "test_witness", "test_repair", "test_deployed")

#: Which tests judge which file, the quickest first.
TESTS: dict[str, tuple[str, ...]] = {
    "encodings/nnsym_encodings/bigm.py": ("test_encoding_bigm", "test_encoding_edges", "test_encoding_pieces", *JUDGES),
    "encodings/nnsym_encodings/triangle.py": (
        "test_encoding_triangle",
        "test_encoding_edges",
        "test_encoding_pieces",
        *JUDGES,
    ),
    "encodings/nnsym_encodings/smt.py": ("test_encoding_smt", "test_encoding_edges", "test_encoding_pieces", *JUDGES),
    "encodings/nnsym_encodings/tjandraatmadja.py": ("test_cuts_tj",),
    "encodings/nnsym_encodings/krelu.py": ("test_cuts_krelu",),
    "encodings/nnsym_encodings/krelu_separated.py": ("test_cuts_krelu4",),
    "encodings/nnsym_encodings/anderson.py": ("test_cuts_anderson",),
    "encodings/nnsym_encodings/tangents.py": ("test_cuts_tangents",),
    "encodings/nnsym_encodings/lines.py": ("test_encoding_lines", "test_gallery"),
    "encodings/nnsym_encodings/balas.py": ("test_gallery", "test_encoding_exact"),
    "encodings/nnsym_encodings/partition.py": ("test_gallery", "test_encoding_exact"),
    "encodings/nnsym_encodings/split.py": ("test_gallery", "test_encoding_exact"),
    "encodings/nnsym_encodings/combination.py": ("test_encoding_combination",),
    "encodings/nnsym_encodings/sos2.py": ("test_encoding_combination",),
    "encodings/nnsym_encodings/logarithmic.py": ("test_encoding_combination",),
    "encodings/nnsym_encodings/logical.py": ("test_gallery", "test_encoding_exact"),
    "encodings/nnsym_encodings/smt_cases.py": ("test_gallery", "test_encoding_exact"),
    "nnsym/separation/box.py": ("test_cuts_tj", "test_cuts_anderson"),
    "nnsym/separation/octahedra.py": ("test_cuts_krelu",),
    "nnsym/separation/orthants.py": ("test_cuts_krelu4",),
    "nnsym/separation/gauge.py": ("test_cuts_krelu4",),
    "nnsym/separation/groups.py": ("test_cuts_krelu", "test_cuts_krelu4"),
    "nnsym/relaxation/forms.py": ("test_bounds_lp", "test_cuts_krelu"),
    "nnsym/relaxation/rounds.py": ("test_cuts", "test_cuts_anderson"),
    "nnsym/encode/walk.py": (*SHARED, *RULES, *JUDGES),
    "nnsym/encode/affine.py": (*SHARED, *RULES, *JUDGES),
    "nnsym/encode/formula.py": (*SHARED[1:], *RULES, *JUDGES),
    "nnsym/encode/point.py": ("test_encode_spec", *RULES, *JUDGES),
    "nnsym/encode/hinges.py": (*RULES, *JUDGES),
    "nnsym/encode/rules.py": (*RULES, *JUDGES),
    "nnsym/encode/statement.py": ("test_encode_spec", "test_encode_formula", *RULES, *JUDGES),
    "nnsym/encoding.py": (*RULES, "test_encode_spec", *JUDGES),
    "nnsym/judge/verdict.py": ("test_verdict", "test_verdict_truth", *JUDGES),
    "nnsym/deployed/terms.py": ("test_deployed", "test_deployed_operators", "test_engines"),
    "nnsym/deployed/enclose.py": ("test_deployed", "test_deployed_operators", "test_engines"),
    "nnsym/deployed/secants.py": ("test_deployed", "test_deployed_operators"),
    "nnsym/replay/__init__.py": REPLAY,
    "nnsym/replay/real.py": REPLAY,
    "nnsym/replay/points.py": REPLAY,
    "nnsym/judge/conclude.py": ("test_verdict", "test_quantifiers", *REPLAY),
    "nnsym/judge/repair.py": REPLAY,
    "nnsym/judge/premise.py": ("test_premise",),
    "nnsym/judge/probe.py": ("test_probe",),
    "nnsym/ir/outward.py": ("test_ir_outward",),
    "nnsym/ir/exact.py": ("test_ir_exact",),
    "nnsym/ir/rational/scaled.py": ("test_ir_scaled",),
    "nnsym/bounds/kept/cuts.py": KEPT,
    "nnsym/bounds/kept/engine.py": KEPT,
    "nnsym/bounds/kept/refine.py": KEPT,
    "nnsym/bounds/kept/rounding.py": KEPT,
    "nnsym/bounds/kept/tighter.py": KEPT,
    "nnsym/bounds/kept/types.py": KEPT,
    "nnsym/bounds/kept/passes/ascent.py": KEPT,
    "nnsym/bounds/kept/passes/collect.py": KEPT,
    "nnsym/bounds/kept/passes/descent.py": KEPT,
    "nnsym/bounds/kept/passes/inputs.py": KEPT,
    "nnsym/bounds/kept/passes/minimum.py": KEPT,
    "nnsym/bounds/kept/passes/refresh.py": KEPT,
    "nnsym/bounds/kept/passes/relaxations.py": KEPT,
    "nnsym/bounds/kept/passes/state.py": KEPT,
    "nnsym/bounds/kept/plan/balls.py": KEPT,
    "nnsym/bounds/kept/plan/cut_rows.py": KEPT,
    "nnsym/bounds/kept/plan/maps.py": KEPT,
    "nnsym/bounds/kept/plan/plan.py": KEPT,
    "nnsym/bounds/engine/inputs.py": BOUNDS,
    "nnsym/bounds/engine/relaxations.py": BOUNDS,
    "nnsym/bounds/engine/rounding.py": BOUNDS,
    "nnsym/bounds/engine/backward/descent.py": BOUNDS,
    "nnsym/bounds/engine/backward/forms.py": BOUNDS,
    "nnsym/bounds/engine/backward/linear.py": BOUNDS,
    "nnsym/bounds/engine/backward/slopes.py": BOUNDS,
    "nnsym/bounds/engine/backward/state.py": BOUNDS,
    "nnsym/bounds/engine/backward/sums.py": BOUNDS,
    "nnsym/bounds/engine/forward/carried.py": BOUNDS,
    "nnsym/bounds/engine/forward/forward.py": BOUNDS,
    "nnsym/bounds/engine/forward/interval.py": BOUNDS,
    "nnsym/bounds/engine/forward/zonotope.py": BOUNDS,
    "nnsym/bounds/engine/maps/blocks.py": BOUNDS,
    "nnsym/bounds/engine/maps/contraction.py": BOUNDS,
    "nnsym/bounds/engine/maps/convolution.py": BOUNDS,
    "nnsym/bounds/engine/maps/maps.py": BOUNDS,
    "nnsym/bounds/engine/maps/torch_maps.py": BOUNDS,
    "nnsym/bounds/engine/maps/windows.py": BOUNDS,
    "nnsym/check/rule.py": CHECKER,
    "nnsym/check/limbs.py": CHECKER,
    "nnsym/check/fast.py": CHECKER,
    "nnsym/check/lines.py": CHECKER,
    "nnsym/check/functions.py": CHECKER,
    "nnsym/check/tree.py": CHECKER,
    "nnsym/check/problem.py": CHECKER,
    "nnsym/check/graph.py": CHECKER,
    "nnsym/check/operators.py": CHECKER,
    "nnsym/check/moves.py": CHECKER,
    "nnsym/check/windows.py": CHECKER,
    "nnsym/check/vnnlib.py": CHECKER,
    "nnsym/check/model.py": CHECKER,
    "nnsym/check/checker.py": CHECKER,
    "nnsym/check/files.py": CHECKER,
}


def equivalent() -> set[str]:
    """The keys of the mutants that are known to change nothing."""
    lines = EQUIVALENT.read_text().splitlines() if EQUIVALENT.exists() else []
    return {line for line in lines if line and not line.startswith("#")}


def main() -> int:
    """Run the mutants and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", help="names of files, or of folders (check/), to mutate; all by default")
    parser.add_argument("--list", action="store_true", help="print the mutants and stop")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="without the judges, a minute for every survivor")
    parser.add_argument("--only", default="", help="mutants whose text contains this")
    parser.add_argument("--lines", type=int, nargs=2, help="mutants from one line to another")
    parser.add_argument("--sample", type=int, default=0, help="so many mutants of each file, drawn by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", action="store_true", help="run tests as well that do not run the changed line")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds after which a mutant counts as killed")
    parser.add_argument("--budget", type=float, default=1e9, help="seconds of tests that are tried on a mutant")
    parser.add_argument("--measured", type=Path, help="file in which seconds and lines of tests are kept between runs")
    options = parser.parse_args()
    files = [
        f
        for f in TESTS
        if not options.files or any(f"/{f}".endswith(n) or (n in f"/{f}" and n.endswith("/")) for n in options.files)
    ]
    known, chosen = equivalent(), list[Mutant]()
    for file in files:
        made = [m for m in mutants(file) if options.only in m.key]
        first, last = options.lines or (1, 1 << 30)
        made = [m for m in made if first <= m.line <= last]
        if options.sample < len(made) and options.sample:
            made = sorted(Random(options.seed).sample(made, options.sample), key=made.index)
        chosen += made
    if options.list:
        print("\n".join(f"{m.file}:{m.line}: {m.key}{'   (equivalent)' if m.key in known else ''}" for m in chosen))
        return 0
    wanted = [m for m in chosen if m.key not in known]
    survivors = run(wanted, options)
    print(f"{len(wanted)} mutants, {len(wanted) - len(survivors)} killed, {len(survivors)} survived")
    print(f"{len(chosen) - len(wanted)} more are known to be equivalent")
    for mutant in survivors:
        print(f"  {mutant.file}:{mutant.line}: {mutant.key}")
    return int(bool(survivors))


def run(wanted: list[Mutant], options: argparse.Namespace) -> list[Mutant]:
    """The survivors; every mutant is reported as it is judged."""
    tests = {file: tuple(n for n in names if not options.quick or n not in JUDGES) for file, names in TESTS.items()}
    with tempfile.TemporaryDirectory(prefix="nnsym-mutate-") as folder, get_context("spawn").Pool(options.jobs) as pool:
        arenas = [
            Arena(
                folder=Path(folder) / str(k),
                wanted=wanted[k :: options.jobs],
                tests=tests,
                limit=options.limit,
                every=options.every,
                budget=options.budget,
                measured=options.measured and options.measured.absolute(),
            )
            for k in range(min(options.jobs, len(wanted)))
        ]
        return [mutant for survivors in pool.map(Arena.run, arenas, chunksize=1) for mutant in survivors]


if __name__ == "__main__":
    raise SystemExit(main())
