"""Budgets that are spent, and the posterior at the lowest threshold reached where that is not ε."""

from __future__ import annotations

import io
import json
import math

import jsonschema
import pytest
from problems import MILD_MODEL, MILD_TASK, condition, criterion, errors_apart
from rich.console import Console

import bayesgc as gc
from bayesgc.analysis.tree.schema import result_schema
from bayesgc.analysis.tree.storage import load, save
from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.words.rendered import rendered
from bayesgc.inference import Control, Outcome, Rejection, Request, Splitting


@pytest.fixture(scope="module")
def short():
    """A run that cannot reach its ε: 200 particles go down by a factor 0.3 in volume for 2000 evaluations."""
    return condition(Splitting(particles=200), criterion(eps=1e-12), Control(max_evaluations=200_000), chains=8)


def test_the_posterior_at_the_lowest_threshold_is_given(short):
    assert short.outcome is Outcome.EXHAUSTED
    assert short.posterior is None
    assert short.log_volume.value is None
    reached = short.reached
    assert reached.eps == short.levels.threshold[-1] > 1e-12
    assert (reached.posterior.quantities["train_loss"] < reached.eps).all()
    assert reached.log_volume.value == pytest.approx(short.levels.log_volume[-1])
    assert f"{reached.eps:.4g} on the training loss; the posterior there is given in its place." in short.message


def test_precision_is_no_advice_where_nothing_fitted(short):
    """Control: where some fit it is."""
    said = "The budget ended before any draw fitted: raise `max_seconds`, `max_evaluations` or `eps`."
    assert said in short.message
    few = Control(max_evaluations=2**14)
    assert condition(Rejection(), criterion(eps=1e-12), few).message == said
    assert "`precision`" in condition(Rejection(), criterion(eps=0.05), few, precision=1e-6).message


def test_a_budget_that_the_pilot_cannot_use_goes_into_deeper_islands():
    # The pilot may spend a quarter, and two islands on its way spend half: the last quarter was left.
    budget = 60_000
    run = condition(Splitting(particles=100), criterion(eps=1e-12), Control(max_evaluations=budget), chains=2)
    # The forecast uses nine tenths of what is left, and a rung of the pilot and both islands costs a twentieth.
    assert 0.8 * budget < run.evaluations <= budget
    assert run.reached is not None


def test_what_is_reached_agrees_with_rejection_at_that_threshold():
    method, budget = Splitting(particles=600, moves=5), Control(max_evaluations=60_000)
    run = condition(method, criterion(eps=1e-12), budget, chains=8, seed=3)
    eps = run.reached.eps
    plain = condition(Rejection(), criterion(eps=eps), Control(max_evaluations=2**21), precision=1e-3)
    ours, theirs = run.reached.log_volume, plain.log_volume
    assert plain.posterior is not None
    # Within four combined standard errors; a threshold twice as high would be seen.
    assert errors_apart(ours.value, theirs.value, ours.mcse, theirs.mcse) < 4
    double = condition(Rejection(), criterion(eps=2 * eps), Control(max_evaluations=2**21), precision=1e-3).log_volume
    assert errors_apart(ours.value, double.value, ours.mcse, double.mcse) > 4


def test_it_is_in_tree_file_json_and_table(tmp_path):
    tree = gc.infer(
        MILD_MODEL, MILD_TASK, eps=1e-12, method=Splitting(particles=100), gd=False, map=False, max_evaluations=60_000
    )
    found = result_object(tree)
    jsonschema.validate(json.loads(json.dumps(found, allow_nan=False)), result_schema())
    assert found["posterior"] is None
    assert found["reached"]["eps"] > found["eps"]
    assert found["reached"]["posterior"]["train_loss"]["mean"] < found["reached"]["eps"]
    assert found["reached"]["log_volume"]["estimate"] < 0
    assert result_object(load(save(tree, tmp_path / "short.nc"))) == found
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(rendered(found))
    text = console.export_text()
    assert f"< {found['reached']['eps']:.3g}" in text
    assert f"log P(L_train < {found['reached']['eps']:.3g}) =" in text


@pytest.mark.parametrize(("chains", "kept"), [(1, 100), (4, 100), (20, 50), (2000, 1)])
def test_what_is_kept_is_bounded_unless_draws_are_asked_for(chains, kept):
    request = Request(most_kept=1000)
    assert request.kept(chains, 100) == kept
    assert Request(draws=100).bounded(10**9).kept(chains) == 100
    assert Request().bounded(10**9).most_kept == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The minimum-nuclear-norm reference stopped:RuntimeWarning")
def test_a_large_table_keeps_fewer_arrays_and_all_of_their_summaries(tmp_path):
    task = gc.completion(60, 50, 1, 300, seed=0)
    model = gc.MatrixFactorization(depth=2, width=2)
    kept = {"gd": False, "map": False, "method": "rejection", "max_evaluations": 2**13}
    tree = gc.infer(model, task, eps=1e-9, **kept)
    chains, draws = tree["prior"]["end_to_end"].shape[:2]
    assert chains == 16
    # 20 MiB at eight bytes a number.
    assert chains * draws * (3000 + 50 + 10) * 8 <= 20 * 2**20 < chains * (draws + 1) * (3000 + 50 + 10) * 8
    assert save(tree, tmp_path / "large.nc").stat().st_size < 50e6
    # The error of the prior's mean is that of 16 000 draws and not of those kept.
    loss = tree["prior"]["gen_loss"]
    assert loss.attrs["mcse"] == pytest.approx(loss.attrs["sd"] / math.sqrt(16_000), rel=1e-3)
    more = gc.infer(model, task, eps=1e-9, draws=100, chains=2, **kept)
    assert more["prior"]["end_to_end"].shape[:2] == (2, 100)
