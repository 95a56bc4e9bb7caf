"""What is installed: methods, encodings, cuts, solvers."""

from __future__ import annotations

from nnsym.cli.output import print_rich
from nnsym.encode.registry import cuts, encoding_providers, encodings
from nnsym.judge.bab import SearchMethod
from nnsym.judge.registry import method_providers
from nnsym.judge.registry import methods as guests
from nnsym.relaxation.sources import source_providers, sources
from nnsym.report.grid import plain_grid
from nnsym.search.branching import RULES
from nnsym.search.frontier import FRONTIERS
from nnsym.search.leaves import LEAVES
from nnsym.search.steps.reduce import REDUCTIONS
from nnsym.solvers.registry import solver_providers, solver_table


def methods() -> None:
    """The methods and encodings that are installed, and the cuts to add to them (triangle+tj+krelu3)."""
    parties = (*encoding_providers(), *source_providers(), *method_providers())
    rows = [[source.name, "bounds", source.summary, source.paper] for source in sources().values()]
    rows.append(["attack", "search", "projected gradient on the margin, replayed; never verifies", "Madry et al. 2018"])
    rows.append(["sampling", "samples", "of a smoothed classifier; verdicts with a confidence", "Cohen et al. 2019"])
    rows.append(["bab", "exact", SearchMethod.summary, SearchMethod.paper])
    rows.append(["portfolio", "exact", "several in turn until one decides; what is asked where none is named", ""])
    words = [("splits", rule.text, rule.summary, rule.paper) for rule in RULES.values()]
    words += [("reduces", some.text, some.summary, some.paper) for some in REDUCTIONS.values()]
    words += [("order", some.text, some.summary, "") for some in FRONTIERS.values()]
    words += [("leaf", f"leaf={some.text}", some.summary, some.paper) for some in LEAVES.values()]
    rows += [[f"bab:{word}", kind, summary, paper] for kind, word, summary, paper in words]
    rows += [[name, "method", guest.summary, guest.paper] for name, guest in guests().items()]
    for name, found in sorted(encodings().items()):
        exact = "exact" if all(r.exactness.value != "outer" for r in found.rules) else "outer"
        rows.append([name, exact, found.summary, found.source])
    rows += [[f"+{name}", "cuts", cut.summary, cut.source] for name, cut in cuts().items()]
    rows += [[p.name, "left out", p.error, ""] for p in parties if p.error]
    print_rich(plain_grid(["method", "kind", "what it is", "source"], rows, wraps=("what it is", "source")))


def solvers() -> None:
    """Solver lanes: installed or not, versions, licence limits, how to get the rest."""
    rows = []
    for row in solver_table():
        here = row.availability
        rows.append([row.name, "yes" if here.available else "no", here.version, here.licence, here.remedy])
    rows += [[p.name, "left out", "", "", p.error] for p in solver_providers() if p.error]
    print_rich(
        plain_grid(["lane", "here", "version", "licence", "how to get it"], rows, wraps=("licence", "how to get it"))
    )
