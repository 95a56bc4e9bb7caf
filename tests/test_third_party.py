"""What goes wrong with third parties: packages that fail or collide, things that are no guests, workers far away.

What goes right is in test_stranger.py, on the files of docs/guests.md.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import nnsym as nn
from nnsym.encode.registry import GROUP, collect, encodings, find_encoding, providers
from nnsym.encoding import Cut, Encoding
from nnsym.errors import InputError, UnsupportedError
from nnsym.solvers.registry import lanes
from nnsym.solvers.workers.runner import End, Job, Workers
from nnsym.testing.check_encoding import ConformanceError, check_encoding
from tests.strangers import FILES, PROPERTY, install, python

pytestmark = pytest.mark.slow

ENCODING, CUT = FILES["acme_encoding"], FILES["acme_cut"]


def test_one_name_of_two_packages_is_an_error_that_names_both(tmp_path: Path) -> None:
    install(tmp_path, "acme-encodings", {"acme": ENCODING}, {GROUP: "acme"})
    install(tmp_path, "other-encodings", {"other": ENCODING}, {GROUP: "other"})
    (tmp_path / "prop.py").write_text(PROPERTY)
    told = python(tmp_path, "-m", "nnsym.cli.main", "verify", "prop.py:p", "--encoding", "mine", code=2)
    assert "encoding 'mine': offered by both 'acme (acme-encodings 0.3)' and 'other (other-encodings 0.3)'" in told
    assert "Rename one, or uninstall one of the packages" in told


def test_a_name_of_ours_cannot_be_taken(tmp_path: Path) -> None:
    taken = f"{ENCODING}\nfrom dataclasses import replace\nENCODINGS = (replace(MINE, name='bigm'),)"
    install(tmp_path, "acme", {"acme": taken}, {GROUP: "acme"})
    told = python(tmp_path, "-m", "nnsym.cli.main", "methods", code=2)
    assert "offered by both 'nnsym_encodings" in told
    assert "and 'acme (acme 0.3)'" in told


def test_a_package_that_fails_is_left_out_and_said_to_be(tmp_path: Path) -> None:
    points = {GROUP: "broken", "nnsym.solvers": "wrong", "nnsym.bounds": "unsound", "nnsym.methods": "empty"}
    modules = {"broken": "import nowhere_at_all", "wrong": "SOLVERS = ['highs']", "unsound": "SOURCES = ('ibp',)"}
    modules["empty"] = ""
    install(tmp_path, "acme", modules, points)
    (tmp_path / "prop.py").write_text(PROPERTY)
    cli = ("-m", "nnsym.cli.main")
    assert "VERIFIED" in python(tmp_path, *cli, "verify", "prop.py:p", "--encoding", "triangle", "--solver", "highs")
    reason = "broken (acme 0.3): ModuleNotFoundError: No module named 'nowhere_at_all'"
    assert reason in python(tmp_path, *cli, "verify", "prop.py:p", "--encoding", "mine", code=2)
    assert reason in python(tmp_path, *cli, "verify", "prop.py:p", "--encoding", "triangle+mine", code=2)
    told = python(tmp_path, *cli, "verify", "prop.py:p", "--encoding", "bigm", "--solver", "mine", code=2)
    assert "Left out: wrong (acme 0.3): SOLVERS has a str, expected a tuple of Solver" in told
    reason = "unsound (acme 0.3): SOURCES has a str, expected a tuple of Source"
    assert reason in python(tmp_path, *cli, "verify", "prop.py:p", "--bounds", "weaker", code=2)
    told = python(tmp_path, *cli, "verify", "prop.py:p", "--method", "dice", code=2)
    assert "Left out" in told
    assert "empty (acme 0.3): the module has no METHODS" in told
    assert "left out" in python(tmp_path, *cli, "methods")
    assert "left out" in python(tmp_path, *cli, "solvers")


def test_a_method_of_the_name_of_an_encoding_is_an_error(tmp_path: Path) -> None:
    taken = FILES["acme_method"].replace('"dice"', '"mine"')
    points = {GROUP: "acme", "nnsym.methods": "other"}
    install(tmp_path, "acme", {"acme": ENCODING, "other": taken}, points)
    told = python(tmp_path, "-m", "nnsym.cli.main", "methods", code=2)
    assert "method 'mine': also the name of an encoding" in told


@pytest.mark.parametrize("name", ["attack", "bab", "sampling", "crown"])
def test_a_method_of_the_name_of_one_of_ours_is_left_out(tmp_path: Path, name: str) -> None:
    taken = FILES["acme_method"].replace('"dice"', f'"{name}"')
    install(tmp_path, "acme", {"other": taken}, {"nnsym.methods": "other"})
    told = python(tmp_path, "-m", "nnsym.cli.main", "methods")
    assert "left out" in told
    assert f"'{name}'" in told


@pytest.mark.parametrize(
    ("source", "point", "reason"),
    [
        ("x = 1", "m", "the module has no ENCODINGS or CUTS"),
        (f"{ENCODING}\nENCODINGS = (MINE)", "m", "ENCODINGS is an Encoding, expected a tuple of Encoding"),
        (f"{ENCODING}\nENCODINGS = (rule,)", "m", "ENCODINGS has a function, expected a tuple of Encoding"),
        (ENCODING, "m:ENCODINGS", "the entry point names no module"),
        (f"{CUT}\nCUTS = (Above,)", "m", "CUTS has an ABCMeta, expected a tuple of Cut"),
        (f"{CUT}\nCUTS = (Above(name='a+b', summary='', source=''),)", "m", "CUTS has the name 'a+b'"),
        (f"{CUT}\nCUTS = (Above(name='crown', summary='', source=''),)", "m", "CUTS has the name 'crown'"),
        ("raise SystemExit(3)", "m", "SystemExit: 3"),
        (CUT, "m", ""),
    ],
)
def test_what_a_package_offers_is_looked_at(tmp_path, monkeypatch, source, point, reason):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "m", raising=False)
    install(tmp_path, "acme", {"m": source}, {GROUP: point})
    ours, theirs = providers(GROUP, {"ENCODINGS": Encoding, "CUTS": Cut}, builtin="nnsym_encodings")
    assert ours.name.startswith("nnsym_encodings")
    assert ours.error == ""
    assert theirs.error.startswith(reason)
    assert bool(theirs.error) == bool(reason)
    assert len(theirs.items["CUTS"]) == (not reason)
    monkeypatch.delitem(sys.modules, "m", raising=False)


def test_a_name_twice_in_one_list_says_so():
    bigm = find_encoding("bigm")
    with pytest.raises(InputError, match=r"encoding 'bigm': offered twice by 'acme'"):
        collect({"acme": (bigm, bigm)})


@dataclass(frozen=True, kw_only=True)
class Nothing(Cut):
    name: str = "nothing"
    summary: str = "no row at all"
    source: str = "nobody"

    def separator(self, scene):
        return lambda point: ()


def test_what_is_no_encoding_or_solver_says_what_it_is():
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, 0, 1), then=x[0] >= 0)
    with pytest.raises(InputError, match=r"no encoding but an object\. Give a name, an nnsym.encoding.Encoding"):
        nn.verify(p, object())
    with pytest.raises(InputError, match=r"no encoding but an int"):
        nn.compare(p, [3])
    with pytest.raises(InputError, match=r"no encoding but an int"):
        nn.draw(3)
    with pytest.raises(
        InputError, match=r"no encoding but a Nothing\. Add it to an encoding: find_encoding\('triangle'\) \+"
    ):
        nn.verify(p, Nothing())
    with pytest.raises(InputError, match=r"a solver is a name or an object .*, not an int\. Known: highs"):
        nn.verify(p, "bigm", solver=3)


def test_a_solver_is_taken_as_an_object_wherever_a_name_is():
    guest = replace(lanes()["highs"], name="mine")
    x = nn.Variable(1, name="x")
    p = nn.forall(x, where=nn.box(x, -1, 1), then=nn.relu(x)[0] >= x[0] - 0.1)
    result = nn.verify(p, "bigm", solver=guest, timeout=20, shortcut=False)
    assert (result.status.value, result.solver) == ("verified", "mine")
    assert nn.verify(p, nn.milp("bigm", solver=guest), timeout=20).status.value == "verified"
    table = nn.compare(p, ["bigm", "smt"], solvers=["highs", guest])
    assert [row.solver for row in table.rows] == ["highs", "mine"] * 2
    assert "'mine' does not take" in table.rows[3].error
    assert nn.minimize(nn.relu(x)[0], where=nn.box(x, -1, 1), method="bigm", solver=guest).lower == pytest.approx(0)


def test_what_only_this_process_could_import_goes_to_a_worker_by_value():
    class Local(Nothing):
        """Has no name that a worker could import."""

    pool = Workers()
    try:
        sent = pool.run("lane", Job(module="worker_jobs", function="use_cut", payload=Local()))
        assert (sent.end, sent.value) == (End.DONE, ("nothing", ()))
        with pytest.raises(UnsupportedError, match=r"cannot be sent to a worker process: .*Keep open files, locks"):
            pool.run("lane", Job(module="worker_jobs", payload=(Local(), (k for k in "abc"))))
    finally:
        pool.close()


def test_a_job_that_a_worker_cannot_read_fails_at_once():
    pool = Workers()
    try:
        out = pool.run("lane", Job(module="worker_jobs", payload=Unreadable(), seconds=60))
        assert (out.end, out.error) == (End.FAILED, "ModuleNotFoundError: No module named 'nowhere_at_all'")
        assert out.seconds < 60
    finally:
        pool.close()


class Unreadable:
    """Pickles here; reading it needs a module that is nowhere."""

    def __reduce__(self):
        return __import__, ("nowhere_at_all",)


def variant(old: str, new: str) -> Encoding:
    """The encoding with one place changed."""
    assert ENCODING.count(old) == 1
    namespace: dict[str, object] = {"__name__": "variant"}
    exec(ENCODING.replace(old, new), namespace)
    return namespace["MINE"]


def test_a_rule_that_returns_no_columns_or_emits_what_it_does_not_say_is_named():
    with pytest.raises(
        InputError, match=r"relu_1: the rule of the encoding 'mine' returned NoneType, expected 4 column"
    ):
        check_encoding(variant("    return ids\n", ""), kinds=("dense",))
    with pytest.raises(InputError, match=r"relu_1: .* returned int64 of shape \(1, 4\), expected 4 column ids"):
        check_encoding(variant("    return ids\n", "    return ids[None]\n"), kinds=("dense",))
    implied = "ctx.implies(node, z, 1, [(o.sign, o.y), (-o.b, o.h)], upper=0.0"
    quiet = variant("ctx.rows(node, [(o.sign, o.y), (-o.b, o.h), (n, z)], upper=n", implied)
    with pytest.raises(InputError, match=r"encoding 'mine': its rules emit implications, which it does not declare"):
        check_encoding(quiet, kinds=("dense",))


def test_the_kit_runs_a_family_on_small_mixed_integer_programs_and_tells_if_it_fails():
    class Failing(Nothing):
        def separator(self, scene):
            raise ValueError("nothing to separate")

    for name in ("triangle", "bigm"):
        with pytest.raises(ConformanceError, match=r"no cuts were found: ValueError: nothing to separate"):
            check_encoding(find_encoding(name) + Failing(), kinds=("dense",), seeds=range(1))


def test_all_our_encodings_are_offered_by_us_alone():
    assert all(e is find_encoding(name) for name, e in encodings().items())
