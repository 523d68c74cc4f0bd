"""Calibration: the truth, drawn from the prior, is as likely to have any rank among posterior draws.

The long part prints every cell as it ends, all in one process for the picture:
``pytest -m slow -n 0 tests/inference/test_calibration.py``. In the environment BAYESGC_CALIBRATION_PNG names a file
for the histograms, and BAYESGC_CALIBRATION_SHARE makes the numbers of truths a share of what stands below.
"""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from calibration import DRAWS, FUNCTIONALS, Simulation, pairs, pairwise, plot_ranks, rank, ranks, uniformity, worst
from scipy import stats

from bayesgc.inference import NUTS, Importance, Rejection, Splitting, Tempering, weighted
from bayesgc.inference.collapsed import importance
from bayesgc.inference.collapsed.importance import _Sample
from bayesgc.models import MatrixFactorization
from bayesgc.task import completion, sensing

pytestmark = pytest.mark.usefixtures("unchecked")

TASK = sensing(3, 3, 1, 3, seed=1)
MODEL = MatrixFactorization(2, 3, normalize=False)
EPS = 0.1
FAST = 100
"""Truths of the fast part; the tests' level is 1e-3 for all functionals of a method together."""


# --- the tools --------------------------------------------------------------------------------------------------------


def test_ties_are_broken_at_random():
    rng = np.random.default_rng(0)
    assert rank(1.0, [0.0, 0.5, 2.0], rng) == 2
    tied = np.array([rank(0.0, [-1.0, *[0.0] * (DRAWS - 1)], rng) for _ in range(2000)])
    assert tied.min() == 1
    assert stats.chisquare(np.bincount(tied, minlength=DRAWS + 1)[1:]).pvalue > 1e-3


def test_uniform_ranks_pass_and_others_do_not():
    rng = np.random.default_rng(0)
    assert uniformity(rng.integers(DRAWS + 1, size=FAST)) > 1e-3
    # Draws from a law three times too wide, and three times too narrow.
    for width in (3, 1 / 3):
        normal = rng.normal(size=(4 * FAST, DRAWS + 1)) * np.array([1] + [width] * DRAWS)
        ranks_found = (normal[:, 1:] < normal[:, :1]).sum(1)
        # The fast part's own number of truths is enough for its own limit; more of them leave no doubt.
        assert uniformity(ranks_found[:FAST]) < 1e-3
        assert uniformity(ranks_found) < 1e-4


# --- the fast part ----------------------------------------------------------------------------------------------------

DEEP = MatrixFactorization(4, 4, normalize=False)
"""Deep enough for the weights of the hidden layers to matter."""
DEEP_TASK = sensing(3, 3, 1, 4, seed=1)
IMPORTANCE = Importance(tempering=Tempering(particles=100, moves=5))


@pytest.mark.parametrize("activation", ["linear", "relu"])
def test_rejection_is_calibrated(activation):
    model = MatrixFactorization(2, 3, activation, normalize=False)
    assert worst(ranks(Simulation(model, TASK, EPS), Rejection(), FAST)) > 1e-3


@pytest.mark.parametrize(("model", "task", "eps"), [(DEEP, DEEP_TASK, 0.0), (MODEL, TASK, EPS)], ids=["exact", "eps"])
def test_importance_is_calibrated(model, task, eps, monkeypatch):
    # Quick: a sixteenth of the draws, of which the ranks take no more than a hundred.
    monkeypatch.setattr(importance, "FEWEST_BLOCKS", 16)
    monkeypatch.setattr(importance, "BLOCK", 256)
    assert worst(ranks(Simulation(model, task, eps), IMPORTANCE, FAST // 2)) > 1e-3


def test_without_the_residual_ranks_are_not_uniform():
    assert worst(ranks(Simulation(MODEL, TASK, EPS, noise=False), Rejection(), FAST)) < 1e-6


class TooWide(Rejection):
    """Rejection at three times the threshold."""

    def run(self, criterion, request, control):
        return super().run(replace(criterion, eps=3 * criterion.eps), request, control)


def test_a_posterior_that_is_too_wide_is_caught():
    assert worst(ranks(Simulation(MODEL, TASK, EPS), TooWide(), FAST)) < 1e-4


def test_ignored_weights_are_caught(monkeypatch):
    for module in (importance, weighted):
        monkeypatch.setattr(module, "pareto_shape", lambda log_weight: -np.inf)  # no tempering, whatever the weights
    # Quick: so many draws, and as few truths as the method itself is checked with, are wrong enough.
    monkeypatch.setattr(importance, "FEWEST_BLOCKS", 16)
    monkeypatch.setattr(importance, "BLOCK", 256)
    monkeypatch.setattr(_Sample, "resample", lambda sample, size: np.linspace(0, sample.total - 1, size).astype(int))
    assert worst(ranks(Simulation(DEEP, DEEP_TASK, 0.0), Importance(most_draws=2**30), FAST // 2)) < 1e-4


# --- the long part: a pairwise design ---------------------------------------------------------------------------------

METHODS = {
    "rejection": Rejection(),
    "splitting": Splitting(particles=200, moves=8),
    "importance": Importance(tempering=Tempering(particles=200, moves=8)),
    "nuts": NUTS(warmup=20, target_accept=0.8, max_tree_depth=5),
}
REPLICATIONS = {"rejection": 1000, "splitting": 500, "importance": 500, "nuts": 40}
"""The budget: truths of a cell, of which one by NUTS takes some seconds and any other a fraction of one."""
SHARE = float(os.environ.get("BAYESGC_CALIBRATION_SHARE", "1"))
THRESHOLD = {True: 0.01, False: 0.1}
"""ε of normalised and other models: the volume of a typical truth is about a hundredth."""
FACTORS = {
    "method": list(METHODS),
    "prior": ["gaussian", "uniform"],
    "activation": ["linear", "tanh", "leaky-relu", "relu"],
    "task": ["sensing", "completion"],
    "normalize": [False, True],
    "exact": [False, True],
}


def allowed(cell):
    """The collapsed methods need a Gaussian last layer and an unnormalised output; the others a positive ε.

    A dead column of a ReLU net makes observed cells exactly zero, an atom that has no density to condition on at ε = 0.
    """
    if cell["exact"] and cell["activation"] == "relu" and cell["task"] == "completion":
        return False
    if cell["method"] in ("importance", "nuts"):
        # At ε > 0 a share of the ReLU nets that fit has no density.
        if cell["activation"] == "relu" and not cell["exact"]:
            return False
        return cell["prior"] == "gaussian" and not cell["normalize"]
    return not cell["exact"]


CELLS = list(pairwise(FACTORS, allowed))
HISTOGRAMS: dict[str, dict[str, np.ndarray]] = {}


def label(cell):
    words = [cell["method"], cell["prior"], cell["activation"], cell["task"]]
    return ", ".join([*words, *(name for name in ("normalize", "exact") if cell[name])])


def simulation(cell):
    make = {"sensing": sensing, "completion": completion}[cell["task"]]
    model = MatrixFactorization(2, 4, cell["activation"], cell["prior"], normalize=cell["normalize"])
    # A uniform prior with fan-out scaling has entries √3 times, at depth two 3 times, as small.
    eps = THRESHOLD[cell["normalize"]] / (9 if cell["prior"] == "uniform" and not cell["normalize"] else 1)
    return Simulation(model, make(3, 3, 1, 4, seed=2), 0.0 if cell["exact"] else eps)


def test_the_design_holds_every_allowed_pair():
    every = [dict(zip(FACTORS, levels, strict=True)) for levels in product(*FACTORS.values())]
    wanted = {pair for cell in every if allowed(cell) for pair in pairs(cell)}
    assert set().union(*(pairs(cell) for cell in CELLS)) == wanted
    assert len(CELLS) < len([cell for cell in every if allowed(cell)]) / 2


@pytest.fixture(scope="module")
def picture():
    yield
    path = os.environ.get("BAYESGC_CALIBRATION_PNG")
    if path and HISTOGRAMS:
        plot_ranks(HISTOGRAMS, Path(path))


@pytest.mark.slow
@pytest.mark.usefixtures("picture")
@pytest.mark.parametrize("cell", CELLS, ids=label)
def test_every_cell_is_calibrated(cell, capsys):
    number = max(1, round(SHARE * REPLICATIONS[cell["method"]]))
    found = ranks(simulation(cell), METHODS[cell["method"]], number)
    HISTOGRAMS[label(cell)] = found
    with capsys.disabled():
        shown = ", ".join(f"{name} p = {uniformity(own):.3f}" for name, own in found.items())
        print(f"\n{label(cell)}: {number} truths, {shown}")  # noqa: T201
    # All cells together: a level of 1e-3 each keeps the chance of one false alarm at a few per cent.
    assert worst(found) > 1e-3


def test_the_picture_is_drawn(tmp_path):
    rng = np.random.default_rng(0)
    some = {name: rng.integers(DRAWS + 1, size=50) for name in FUNCTIONALS}
    plot_ranks({"one": some, "two": {name: some[name] for name in list(some)[:3]}}, tmp_path / "ranks.png")
    assert (tmp_path / "ranks.png").stat().st_size > 10_000
