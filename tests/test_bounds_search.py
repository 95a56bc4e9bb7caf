"""The source ``search``: sound by the kit, never looser than crown, usable under encodings."""

import numpy as np
import pytest

import nnsym as nn
from nnsym.bounds.methods import compute, margin
from nnsym.errors import InputError
from nnsym.relaxation.searched import Search
from nnsym.relaxation.sources import find_source
from nnsym.results.clock import Deadline
from nnsym.testing.check_bounds import check_bounds
from nnsym.testing.random_nets import random_network, random_query
from tests.kept import boxes, relu_query


@pytest.mark.slow
def test_the_kit_finds_nothing():
    found = check_bounds(Search(2), kinds=("residual",), seeds=range(1))
    assert found.runs > 100


@pytest.mark.slow
def test_the_kit_finds_nothing_at_all():
    check_bounds(Search(6))


def test_it_is_never_looser_than_crown_and_tighter_where_neurons_are_open():
    query = relu_query(2, widths=(10, 10, 8))
    searched, known = (compute(query, source) for source in (Search(12), "crown"))
    for node in query.nodes:
        assert (searched[node].lower >= known[node].lower).all()
        assert (searched[node].upper <= known[node].upper).all()
    assert margin(query, searched) > margin(query, known) + 1e-2
    assert {searched[n].source for n in query.nodes} >= {"search"}


def test_batches_of_boxes_are_bounded_one_by_one():
    query = relu_query(3, widths=(6, 5))
    x, limit = boxes(query, np.random.default_rng(0), 3)
    batch = Search(4).compute(query, {x: (limit.lower, limit.upper)})
    single = Search(4).compute(query, {x: (limit.lower[1:2], limit.upper[1:2])})
    assert np.allclose(batch.rows.lower[1], single.rows.lower[0])
    assert batch.rows.lower.shape == (3, 3)


def test_texts_and_wrong_ones():
    assert find_source("search:7") == Search(7)
    assert find_source("search").text == "search"
    assert Search(7).text == "search:7"
    with pytest.raises(InputError, match="rounds"):
        find_source("search:many")


def test_time_that_is_over_leaves_intervals():
    query = random_query(random_network("dense", 1), 1)
    late = Search().until(Deadline.after(-1.0)).compute(query)
    assert late.ended == "timeout"
    assert (late.rows.lower <= compute(query, "alpha").rows.upper).all()


def test_an_encoding_takes_its_bounds():
    f = random_network("dense", 5)
    x = nn.Variable(2, name="x")
    p = nn.forall(x, where=nn.box(x, -0.5, 0.5), then=f(x)[0] <= 20.0)
    result = nn.verify(p, "bigm", bounds="search:5")
    assert (result.status.value, result.bounds) == ("verified", "search:5")
