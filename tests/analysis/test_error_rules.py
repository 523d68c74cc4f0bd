"""The rule of error that a method leaves with its draws, and what is made of results that were saved without one."""

from __future__ import annotations

import numpy as np
import pytest

import bayesgc as gc
from bayesgc.analysis.uncertainty import error_rule, mean_and_error
from bayesgc.correlated import ErrorRule

RULES = {
    "rejection": "independent",
    "importance": "weights",
    "splitting:particles=50,moves=2": "islands",
    "nuts:warmup=10,max_tree_depth=2": "chains",
}


@pytest.fixture(scope="module", params=RULES)
def result(request):
    model, task = gc.MatrixFactorization(depth=2, width=3, normalize=False), gc.sensing(3, 3, measurements=3)
    options = {"gd": False, "map": False, "precision": 0.5, "max_evaluations": 20_000, "draws": 30}
    return request.param, gc.infer(model, task, eps="30%", method=request.param, **options)


def test_results_of_before_the_record_are_read_by_the_same_rule(result):
    method, tree = result
    assert error_rule(tree) is ErrorRule(tree.attrs["errors"]) is ErrorRule(RULES[method])
    older = tree.copy()
    del older.attrs["errors"]
    assert error_rule(older) is error_rule(tree)


def test_independent_chains_are_told_apart_from_independent_draws(result):
    """Of values that are alike within a chain the spread over chains is the error; that of draws promises too much."""
    _, tree = result
    other = tree.copy()
    shape = (tree["posterior"].sizes["chain"], tree["posterior"].sizes["draw"])
    values = np.broadcast_to(np.random.default_rng(0).standard_normal((shape[0], 1)), shape)
    found = {}
    for rule in (ErrorRule.REPLICATES, ErrorRule.INDEPENDENT):
        other.attrs["errors"] = rule.value
        found[rule] = mean_and_error(other, "posterior", values)[1]
    if shape[0] < 3:
        assert found[ErrorRule.REPLICATES] is None
        return
    assert found[ErrorRule.REPLICATES] == pytest.approx(values[:, 0].std(ddof=1) / np.sqrt(shape[0]))
    assert found[ErrorRule.INDEPENDENT] < 0.5 * found[ErrorRule.REPLICATES]
