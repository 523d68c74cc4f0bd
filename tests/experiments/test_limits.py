"""The limit of infinite width beside the widths of a sweep."""

from __future__ import annotations

import numpy as np
import pytest
from small import OPTIONS, small_sweep

import bayesgc as gc
from bayesgc.analysis.claims.claims import judge
from bayesgc.analysis.plots.sweep import plot_sweep
from bayesgc.experiments.limits import limit_of
from bayesgc.experiments.running import run_sweep
from bayesgc.inference.collapsed.wide import wide_limit
from bayesgc.models.factorization.wide import wide_gram

PANELS = {
    "leaky-relu": {"activation": "leaky-relu"},
    "unit": {"activation": "leaky-relu", "scaling": "unit"},
}


@pytest.fixture(scope="module")
def dataset_and_store(tmp_path_factory):
    store = tmp_path_factory.mktemp("widths") / "s"
    options = {name: value for name, value in OPTIONS.items() if not name.startswith("gd_") and name != "restarts"}
    sweep = small_sweep(
        options=options | {"gd": False, "method": "rejection", "max_evaluations": 20_000},
        axes={"width": [5, 100], "task_seed": [0, 1, 2]},
        panels=PANELS,
    )
    return run_sweep(sweep, store, workers=1, progress=False), store


def test_the_dataset_has_the_limit_of_each_task(dataset_and_store):
    dataset, _ = dataset_and_store
    found = dataset["wide_gen_loss"].sel(panel="leaky-relu")
    for seed in (0, 1):
        task = gc.sensing(3, 3, 1, 5, seed=seed)
        model = gc.MatrixFactorization(2, 7, "leaky-relu", normalize=False)
        expected = wide_limit(task, wide_gram(model, task.shape), 0.02)
        np.testing.assert_allclose(found.sel(task_seed=seed), expected.gen_loss.value)
        np.testing.assert_allclose(
            dataset["wide_prior_gen_loss"].sel(panel="leaky-relu", task_seed=seed), expected.prior_gen_loss
        )
    assert np.isnan(dataset["wide_gen_loss"].sel(panel="unit")).all()


def test_the_figure_has_a_line_for_it_where_it_is_known(dataset_and_store):
    dataset, _ = dataset_and_store
    known, unknown = plot_sweep(dataset, "width").axes[:2]
    labels = [[line.get_label() for line in ax.get_lines()] for ax in (known, unknown)]
    assert "G&C, width → ∞" in labels[0]
    assert "G&C, width → ∞" not in labels[1]


def test_the_claims_know_it(dataset_and_store):
    _, store = dataset_and_store
    claims = {claim.claim: claim for claim in judge([store]).claims if claim.panel.endswith("leaky-relu")}
    # 20 000 guesses, some hundreds of which fit.
    assert claims["the limit of infinite width is reached"].effect == pytest.approx(1.0, abs=0.15)
    assert "infinitely wide nets are no better than the prior" in claims


def test_along_other_axes_nothing_is_computed():
    [cell, *_] = small_sweep(axes={"depth": [2, 3], "task_seed": [0]}).cells()
    assert limit_of(cell, 0.02) == {}
    [cell, *_] = small_sweep(options=OPTIONS | {"normalize": True}, axes={"width": [3], "task_seed": [0]}).cells()
    assert limit_of(cell, 0.02) == {}
