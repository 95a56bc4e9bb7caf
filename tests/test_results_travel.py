"""Results and properties as files: written, read back, run again, and as a page for people."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import nnsym as nn
from nnsym import demo
from nnsym.cli.main import app
from nnsym.results.plain import result_json
from nnsym.results.restored import read_saved

run = CliRunner()


def network() -> nn.Network:
    return nn.sequential([([[0.3, 1], [1, -1]], [0, 0]), ([[1, -2]], [0])], activation="relu", name="f")


def stated(limit: float = 0.5) -> nn.Property:
    x = nn.Variable(2, name="x", names=["speed", "angle"], units=["m/s", "rad"])
    return nn.forall(x, where=nn.box(x, 0, 1), then=network()(x)[0] <= limit, name="slow <&>")


def digits(eps: float) -> nn.Property:
    image, label = demo.digit(4)
    return nn.props.robust(nn.load(demo.NETWORK, name="digits"), image, int(label), eps=eps, within=(0, 1))


def vacuous(quantifier) -> nn.Property:
    x = nn.Variable(1)
    return quantifier(x, where=nn.box(x, 0, 1) & (x[0] >= 2), then=x[0] <= 5)


@pytest.mark.parametrize(
    "result",
    [
        nn.verify(stated()),
        nn.verify(stated(5), "crown"),
        nn.verify(vacuous(nn.forall)),
        nn.verify(vacuous(nn.exists)),
        nn.verify(digits(8 / 64), "attack"),
    ],
    ids=["rational", "verified", "vacuous", "nothing", "stored"],
)
def test_a_result_is_read_back_as_it_was(result: nn.Property, tmp_path: Path):
    back = nn.load_result(result.save(tmp_path / "r.json"))
    assert result_json(back) == result_json(result)
    assert repr(back) == repr(result)
    assert (back.lower, back.upper) == (result.lower, result.upper)
    assert back.rests_on == result.rests_on
    for found, read in ((result.counterexample, back.counterexample), (result.witness, back.witness)):
        assert (found is None) is (read is None)
        if found is not None:
            for name, values in found.inputs.items():
                assert read.inputs[name].dtype == values.dtype
                assert read.inputs[name].shape == values.shape
                assert read.inputs[name].tolist() == values.tolist()
            assert list(read.lines()) == list(found.lines())


def test_rationals_that_are_no_floats_are_kept(tmp_path: Path):
    x = nn.Variable(1)
    r = nn.verify(nn.forall(x, where=(3 * x[0] == 1) & nn.box(x, 0, 1), then=x[0] > "1/3"))
    assert r.falsified
    back = nn.load_result(r.save(tmp_path / "r.json"))
    assert back.counterexample.inputs["x"].ravel()[0] == Fraction(1, 3)


def test_values_beyond_floats_are_shown_and_kept(tmp_path: Path):
    f = nn.sequential([([[1e200]], [0.0]), ([[1e200]], [0.0])], activation="relu")
    x = nn.Variable(1, name="x", names=["a"])
    p = nn.forall(x, where=nn.box(x, 1, 1), then=f(x)[0] <= 1)
    result, file = nn.verify(p, "attack"), tmp_path / "result.json"
    result.save(file, p)
    told = json.loads(file.read_text(), parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert told["counterexample"]["outputs"]["y"]["data"] == ["inf"]
    found = nn.load_result(file).counterexample
    assert found is not None
    assert result.counterexample is not None
    assert found.outputs["y"][0] == result.counterexample.outputs["y"][0] == Fraction(1e200) ** 2
    assert list(found.lines()) == ["x.a = 1", "y = [1.00000000e+400]"]
    assert "Infinity" not in nn.write_witness(p, result, tmp_path / "w.json").read_text()
    assert nn.write_witness(p, result, tmp_path / "w.txt").read_text().endswith("(Y_0 inf))\n")
    table = nn.table(lambda k: p, [0], ["crown", "attack"], file=tmp_path / "run.jsonl")
    assert str(nn.load_table(tmp_path / "run.jsonl")) == str(table)
    assert repr(nn.maximize(f(x)[0], where=nn.box(x, 1, 1), method="attack")).startswith(
        "<maximum in [1.79769313e+308, inf]"
    )


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("slack",), float("inf")),
        (("counterexample", "labels", "x", "names"), ["speed"]),
        (("counterexample", "labels"), {"z": {"names": [], "units": []}}),
        (("counterexample", "outputs", "y", "dtype"), []),
        (("counterexample", "outputs", "y", "dtype"), "M8[s]"),
        (("counterexample", "outputs", "y", "exact"), ["1/0"]),
        (("counterexample", "outputs", "y", "exact"), ["\u0663"]),
        (("trust",), "statistical"),
        (("trust",), None),
        (("status",), "verified"),
        (("confidence",), 1),
        (("vacuous",), "no"),
    ],
)
def test_a_forged_result_is_refused_where_it_is_read(place: tuple[str, ...], value: object, tmp_path: Path):
    file = tmp_path / "result.json"
    nn.verify(stated(0.1)).save(file)
    data = part = json.loads(file.read_text())
    for name in place[:-1]:
        part = part[name]
    assert place[-1] in part
    part[place[-1]] = value
    file.write_text(json.dumps(data))
    with pytest.raises(nn.InputError, match="a field is missing or wrong"):
        nn.load_result(file)


def test_what_is_no_saved_result_is_refused(tmp_path: Path):
    path = tmp_path / "r.json"
    for text, said in (("{", "not JSON"), ("[]", "not a saved result"), ('{"nnsym result": 2}', "not a saved result")):
        path.write_text(text)
        with pytest.raises(nn.InputError, match=said):
            nn.load_result(path)
    data = read_saved(nn.verify(stated(5), "crown").save(path))
    path.write_text(json.dumps({**data, "status": "proved"}))
    with pytest.raises(nn.InputError, match=r"missing or wrong.*proved"):
        nn.load_result(path)
    with pytest.raises(nn.InputError, match="no such file"):
        nn.load_result(tmp_path / "none.json")


def test_a_saved_property_runs_from_the_command_line(tmp_path: Path):
    p = digits(8 / 64)
    shutil.copy(demo.NETWORK, tmp_path / "d.onnx")
    text = nn.save(p, tmp_path / "p.txt")
    target = [str(text), "--network", f"digits={tmp_path / 'd.onnx'}", "--method", "attack"]
    done = run.invoke(app, ["verify", *target, "--save", str(tmp_path / "r.json"), "--json"])
    assert done.exit_code == 10, done.output
    saved = read_saved(tmp_path / "r.json")
    assert saved["property"]["hash"] == p.hash
    assert saved["property"]["source"] == p.text()
    assert saved["networks"][0]["sha256"] == nn.load(demo.NETWORK).hash
    missing = run.invoke(app, ["verify", str(text)])
    assert isinstance(missing.exception, nn.InputError)
    other = stated()
    nn.save(other, tmp_path / "o.txt")
    wrong = run.invoke(app, ["verify", str(tmp_path / "o.txt"), "--network", f"f={tmp_path / 'd.onnx'}"])
    assert "hash" in str(wrong.exception) or "sha" in str(wrong.exception), wrong.exception
    with pytest.raises(nn.InputError, match="does not exist"):
        nn.save(p, tmp_path / "no" / "p.txt")


class Page(HTMLParser):
    """What a page would fetch, its words, and whether its elements close in order."""

    VOID = frozenset({"meta", "link", "br", "rect", "line", "path", "use"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.asked += [v for k, v in attrs if k in ("src", "href", "xlink:href", "data") and v]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.asked += [v for k, v in attrs if k in ("src", "href", "xlink:href", "data") and v]

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def test_the_report_says_it_all_and_asks_nobody(tmp_path: Path):
    p, result = stated(), nn.verify(stated())
    saved = result.save(tmp_path / "r.json", p)
    page = nn.write_report(saved, tmp_path / "r.html").read_text()
    read = Page(page)
    assert not read.open
    assert all(asked.startswith(("data:", "#")) for asked in read.asked)
    assert "@import" not in page
    assert "url(http" not in page
    words = "".join(read.words)
    point = result.counterexample
    for said in (
        "falsified",
        result.reason,
        result.rests_on,
        p.short.splitlines()[1],
        p.text(),
        network().hash,
        p.hash,
        f"x.speed = {float(point.inputs['x'][0]):.9g} m/s",
        f"{result.upper:.6g}",
        "nn.verify(nn.parse(open('property.txt').read(), [f]))",
        result.trail[0].note,
        result.versions["numpy"],
        "slow <&>",
    ):
        assert said in words, said
    assert "slow <&>" not in page  # it is escaped
    pytest.importorskip("matplotlib")
    assert "class='formula'><svg" in page


def test_a_report_without_the_propertys_text_says_its_hash(tmp_path: Path):
    page = nn.write_report(nn.verify(stated()).save(tmp_path / "r.json"), tmp_path / "r.html").read_text()
    assert stated().hash in page
    assert "property.hash" in page


def test_images_stand_beside_the_middle_and_the_difference(tmp_path: Path):
    result = nn.verify(digits(8 / 64), "attack")
    assert result._repr_html_().count("<figure") == 3
    assert result.counterexample._repr_html_().count("<figure") == 1  # a point alone has no box
    saved = result.save(tmp_path / "r.json")
    page = nn.write_report(saved, tmp_path / "r.html").read_text()
    assert page.count("<figure") == 3
    assert "difference, at most" in page
    with_text = nn.write_report(result.save(tmp_path / "p.json", digits(8 / 64)), tmp_path / "p.html").read_text()
    assert "nnsym verify property.txt --network digits=digits.onnx" in with_text
    fills = re.findall(r"fill='rgb\((\d+),(\d+),(\d+)\)'", page)
    assert len(fills) == 3 * 64
    image, _ = demo.digit(4)
    shown = np.array([int(grey) for grey, _, _ in fills[64:128]]) / 255
    found = nn.load_result(saved).counterexample.inputs["x"].ravel()
    assert np.allclose(shown, found, atol=0.5 / 255 + 1e-9)
    assert np.abs(shown - np.asarray(image).ravel()).max() <= 8 / 64 + 0.01


def test_a_run_record_becomes_a_page(tmp_path: Path):
    record = tmp_path / "runs.jsonl"
    for limit in (0.5, 5):
        nn.compare(stated(limit), ["ibp", "bigm"], record=record)
    page = nn.write_report(record, tmp_path / "runs.html").read_text()
    read = Page(page)
    assert "4 runs of 2 properties" in page
    assert "".join(read.words).count("bigm") == 2
    done = run.invoke(app, ["report", str(record), "-o", str(tmp_path / "again.html")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "again.html").read_text() == page
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n')
    with pytest.raises(nn.InputError, match=r"neither a saved result nor a run record.*--save"):
        nn.write_report(tmp_path / "x.jsonl", tmp_path / "x.html")


def test_words_of_a_report_stay_whole_and_hashes_may_be_broken(tmp_path: Path):
    text = nn.write_report(nn.verify(stated()).save(tmp_path / "r.json", stated()), tmp_path / "r.html").read_text()
    assert re.findall(r"[^\n{]+(?= \{ overflow-wrap)", text) == [".hash"]
    hashes = re.findall(r"(<span class='hash'>)?\b[0-9a-f]{64}\b", text)
    assert hashes
    assert all(hashes)


BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="no browser is installed")
def test_a_browser_opens_the_report_without_complaint(tmp_path: Path):
    page = nn.write_report(nn.verify(stated()).save(tmp_path / "r.json", stated()), tmp_path / "r.html")
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path}/profile",
        "--enable-logging=stderr",
    ]
    done = subprocess.run(
        [BROWSER, *flags, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0
    assert "x.speed" in done.stdout
    assert "CONSOLE" not in done.stderr
