"""Several properties in one comparison: one table, a column for the property, gaps within each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import nnsym as nn
from nnsym import demo


@pytest.fixture(scope="module")
def properties() -> list[nn.Property]:
    f = demo.network()
    some = [nn.props.robust(f, *demo.digit(k), 3 / 64, within=(0, 1)) for k in (4, 19)]
    return [*some, nn.props.robust(f, *demo.digit(15), 1 / 64, name="small")]


def test_several_properties_have_one_table(properties: list[nn.Property], tmp_path: Path) -> None:
    heard: list[tuple[int, int]] = []
    record = tmp_path / "runs.jsonl"
    table = nn.compare(
        properties, ["ibp", "crown"], record=record, announce=lambda number, total, _: heard.append((number, total))
    )
    assert heard == [(k, 6) for k in range(6)]
    records = table.to_records()
    assert [r["property"] for r in records] == ["robust 1", "robust 1", "robust 2", "robust 2", "small", "small"]
    assert [json.loads(line)["property"] for line in record.read_text().splitlines()] == [
        r["property"] for r in records
    ]
    assert len({r["property_hash"] for r in records}) == 3
    text = str(table)
    assert text.splitlines()[0] == "3 properties"
    assert text.splitlines()[1].startswith("property")
    assert max(map(len, text.splitlines())) <= 80
    html: Any = table._repr_html_()
    assert ">property</th>" in html
    assert html.count(">robust 2</td>") == 2
    assert list(table.to_frame()["property"]) == [r["property"] for r in records]
    for part, prop in zip(table.parts, properties, strict=True):
        alone = nn.compare(prop, ["ibp", "crown"])
        assert [r["lower"] for r in part.to_records()] == [r["lower"] for r in alone.to_records()]
        assert [r["gap"] for r in part.to_records()] == [r["gap"] for r in alone.to_records()]
        assert part.property_hash == alone.property_hash
    assert len(table.to_json()["comparisons"]) == 3
    with pytest.raises(nn.InputError, match=r"Draw one: table.parts\[0\]"):
        table.plot()


def test_a_list_of_one_is_that_one_and_of_none_is_refused(properties: list[nn.Property]) -> None:
    assert nn.compare(properties[2:], ["ibp"]).name == "small"
    with pytest.raises(nn.InputError, match="no properties"):
        nn.compare([], ["ibp"])
