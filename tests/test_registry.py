from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from nnsym.encode.registry import collect, encodings, find_encoding
from nnsym.encoding import Exactness, Form
from nnsym.errors import InputError
from nnsym.ir.node import Max, Pointwise, Product, new_input, pointwise
from nnsym.ir.smooth_functions import Sigmoid
from nnsym.ir.univariate import relu
from nnsym_encodings import ENCODINGS


def test_our_encodings_are_found_in_their_order():
    assert list(encodings())[: len(ENCODINGS)] == [e.name for e in ENCODINGS]
    forms = {e.form for e in encodings().values() if "smt" in e.name}
    assert forms == {Form.BOOLEAN}
    for encoding in encodings().values():
        assert encoding.source
        assert encoding.summary


def test_an_encoding_is_itself_and_an_unknown_name_lists_the_known_ones():
    bigm = find_encoding("bigm")
    assert find_encoding(bigm) is bigm
    with pytest.raises(
        InputError, match=r"unknown encoding 'bigM'\. Did you mean bigm\? Known encodings: bigm, .*triangle"
    ):
        find_encoding("bigM")


def test_one_name_from_two_providers_is_an_error_that_names_both():
    bigm = find_encoding("bigm")
    with pytest.raises(InputError, match=r"encoding 'bigm': offered by both 'ours' and 'theirs'"):
        collect({"ours": (bigm,), "theirs": (replace(bigm),)})


def test_rules_are_found_by_node_and_function_and_relaxing_makes_them_outer():
    x = new_input("x", 1)
    bigm, triangle = find_encoding("bigm"), find_encoding("triangle")
    assert bigm.rule_for(pointwise(relu(), x)).exactness is Exactness.EXACT
    assert bigm.rule_for(pointwise(Sigmoid(), x)) is None
    assert triangle.rule_for(pointwise(Sigmoid(), x)).kind is Pointwise
    assert {r.exactness for r in bigm.relax().rules} == {Exactness.OUTER}
    assert {r.kind for r in bigm.rules} == {Pointwise, Max, Product}


def test_finding_encodings_loads_no_heavy_library():
    heavy = "[m for m in ('torch', 'scipy', 'onnx', 'z3') if m in sys.modules]"
    code = f"import sys, nnsym.encode.registry as r; r.encodings(); print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
