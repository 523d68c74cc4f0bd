"""Medians, quartiles and the probability of being better, with errors that hold for particles that share ancestors."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import xarray as xr
from records_for_tests import sensing_task, table_task, tree

from bayesgc.analysis.claims.decisions import MEDIANS, ratio_of
from bayesgc.analysis.diagnose import diagnose
from bayesgc.analysis.tails import chance_of_less, quartiles, tail
from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.words.legend import legend_line
from bayesgc.analysis.words.numerals import rounded
from bayesgc.analysis.words.wording import law_rows
from bayesgc.task import load

ISLANDS, PARTICLES = 16, 200


def islands(seed: int, *, shared: float, method: str = "splitting") -> xr.DataTree:
    """Posterior losses whose logarithms have variance 1, a ``shared`` part of it common to each island's particles."""
    source = np.random.default_rng(seed)
    common = source.normal(size=(ISLANDS, 1))
    logs = math.sqrt(shared) * common + math.sqrt(1 - shared) * source.normal(size=(ISLANDS, PARTICLES))
    dims = ("chain", "draw")
    stats = {"island": np.repeat(np.arange(ISLANDS), PARTICLES).reshape(logs.shape), "island_log_volume": 0.0 * logs}
    groups = {
        "posterior": xr.Dataset({"gen_loss": (dims, np.exp(logs))}),
        "prior": xr.Dataset({"gen_loss": (dims, np.exp(1 + source.normal(size=logs.shape)))}),
        "sample_stats": xr.Dataset({name: (dims, values) for name, values in stats.items()}),
    }
    found = xr.DataTree.from_dict(groups if method == "splitting" else {k: groups[k] for k in ("posterior", "prior")})
    found.attrs = {"method": method, "diagnostics": json.dumps({"islands": ISLANDS})}
    return found


def _median(result: xr.DataTree) -> tuple[float, float]:
    return float(np.median(result["posterior"]["gen_loss"])), quartiles(result, "posterior", "gen_loss")["q50_mcse"]


def test_errors_of_quantiles_and_of_the_probability_come_from_islands():
    """Over 100 seeds the stated errors are the spread that is seen; errors of independent draws would be far too small.

    P(N(0, 1) < N(1, 1)) = Φ(1/√2), and the median of the losses is 1. A ratio of spreads from 100 seeds is known to
    7 %, and the median error of 16 islands is a little small; a third is allowed.
    """
    trees = [islands(seed, shared=0.2) for seed in range(100)]
    alone = [islands(seed, shared=0.2, method="rejection") for seed in range(100)]
    for of in (_median, lambda each: tuple(chance_of_less((each, "posterior"), (each, "prior")).values())):
        values, errors = np.array([of(each) for each in trees]).T
        assert np.median(errors) == pytest.approx(values.std(ddof=1), rel=1 / 3)
        # The control: the same particles, taken as independent.
        assert np.median([of(each)[1] for each in alone]) < values.std(ddof=1) / 2
    assert values.mean() == pytest.approx(0.7602, abs=4 * values.std() / 10)


def test_ties_count_half_and_shared_numbers_have_no_error():
    one = islands(0, shared=0.2)
    found = chance_of_less((one, "posterior"), (one, "posterior"))
    assert found["estimate"] == pytest.approx(0.5)
    assert chance_of_less((one, "posterior"), (one, "prior"), shared=True)["mcse"] is None
    assert chance_of_less((one, "posterior"), (one, "gd")) is None


def heavy_prior() -> xr.DataTree:
    """A result whose prior has losses with k = 1.5: no mean."""
    found = tree(sensing_task())
    losses = found["prior"]["gen_loss"]
    source = np.random.default_rng(5)
    found["prior"]["gen_loss"] = losses.copy(data=(1 + source.pareto(1 / 1.5, losses.shape)).astype(np.float32))
    middle = float(np.median(found["prior"]["gen_loss"]))
    found["prior"]["gen_loss"].attrs |= losses.attrs | {"mean": 430.0, "mcse": 210.0, "q50": middle}
    return found


def test_a_prior_without_a_mean_is_told_by_its_median_everywhere():
    found = heavy_prior()
    result = result_object(found)
    loss = result["prior"]["gen_loss"]
    assert (loss["believable"], result["posterior"]["gen_loss"]["believable"]) == (False, True)
    assert loss["tail"] == pytest.approx(1.5, abs=1.2)  # of 46 draws: (1 + k) / √46 is 0.37
    assert "the prior's mean cannot be believed" in result["verdict"]
    assert "better than the prior (median L_gen" in result["verdict"]
    assert result["better_than_prior"]["estimate"] > 0.99
    assert "\n[" in next(law_rows(result)).cells[0]
    assert "as the mean cannot be believed" in legend_line(result)
    check = next(each for each in diagnose(found).checks if each.name == "Pareto k̂ of the prior's L_gen")
    assert check.status == "caution"
    # The control: the fixture as it is.
    usual = result_object(tree(sensing_task()))
    assert "believed" not in usual["verdict"] + legend_line(usual)


def test_the_posterior_has_median_and_quartiles_beside_those_of_descent():
    """Like with like: descent is a median with quartiles, the prior has no row of restarts beside it."""
    result = result_object(tree(sensing_task()))
    rows = {row.name.split("\n")[0]: row.cells for row in law_rows(result)}
    loss = result["posterior"]["gen_loss"]
    below = f"\n{rounded(loss['q50'])}\n[{rounded(loss['q25'], 2)}, {rounded(loss['q75'], 2)}]"
    assert rows["G&C posterior"][0].endswith(below)
    relative = [rounded(result["posterior"]["gen_loss_relative"][each], 2) for each in ("mean", "q50")]
    assert rows["G&C posterior"][1].split("\n") == relative
    assert "\n[" in rows["GD, at ε"][0]
    assert "\n" not in rows["prior"][0]
    assert legend_line(result).startswith(
        "mean ± standard error, of G&C also median [quartiles] of the draws; restarts: median [quartiles] of "
        "those that fitted"
    )


@pytest.mark.parametrize(("count", "lost", "said"), [(2, 0, "2 islands"), (9, 2, "7 islands"), (8, 0, ""), (0, 0, "")])
def test_what_rests_on_few_islands_is_hardly_known(count: int, lost: int, said: str):
    told = []
    for task in (sensing_task(), table_task()):
        found = tree(task)
        found.attrs["diagnostics"] = json.dumps({"islands": count, "islands_lost": lost} if count else {})
        told.append(result_object(found))
    words = f"errors and intervals rest on {said} and are hardly known" if said else "hardly known"
    assert [words in legend_line(each) for each in told] == 2 * [bool(said)]
    assert (words in told[1]["verdict"]) is bool(said)


@pytest.mark.parametrize("standardize", [True, False])
def test_the_unit_of_losses_of_a_standardised_table_is_told(standardize: bool):
    values = np.where(np.arange(12).reshape(4, 3) % 5 == 1, np.nan, np.arange(12.0).reshape(4, 3) ** 2)
    task = load(values, standardize=standardize)
    words = legend_line(result_object(tree(table_task())) | {"task": task.facts})
    assert ("losses of standardised cells, whose variance is 1/4" in words) is standardize
    if standardize:
        assert task.zero_train_loss == pytest.approx(1 / 4)


def test_a_draw_that_is_not_finite_leaves_no_mean():
    found = heavy_prior()
    found["prior"]["gen_loss"].values[0, 0] = np.inf
    assert tail(found, "prior", "gen_loss") == {"tail": None, "believable": False}
    assert "the prior's mean cannot be believed" in result_object(found)["verdict"]


@pytest.mark.parametrize("believable", [True, False])
def test_claims_rest_on_medians_where_a_mean_cannot_be_believed(believable: bool) -> None:
    numbers = {
        "posterior_gen_loss": 2.0, "posterior_gen_loss_mcse": 0.1, "posterior_gen_loss_q50": 1.0,
        "posterior_gen_loss_q50_mcse": 0.01, "prior_gen_loss": 43.0, "prior_gen_loss_mcse": 21.0,
        "prior_gen_loss_q50": 3.0, "prior_gen_loss_q50_mcse": 0.03, "posterior_gen_loss_believable": 1.0,
        "prior_gen_loss_believable": float(believable), "wide_gen_loss": 1.0, "wide_gen_loss_mcse": 0.1,
    }  # fmt: skip
    cells = xr.Dataset({name: ("task_seed", [value] * 2) for name, value in numbers.items()})
    ratio = ratio_of(cells, cells, under="prior")
    assert ratio.factor == pytest.approx([2 / 43] * 2 if believable else [1 / 3] * 2)
    assert ratio.error == pytest.approx([math.hypot(0.05, 21 / 43)] * 2 if believable else [math.hypot(0.01, 0.01)] * 2)
    assert (MEDIANS in ratio.note) != believable
    # A limit that has no median is no match for one.
    doubtful = cells.assign(posterior_gen_loss_believable=("task_seed", [float(believable)] * 2))
    assert ratio_of(doubtful, doubtful, under="wide").tasks == (2 if believable else 0)


@pytest.mark.parametrize("eps", [0.0, 0.0035])
def test_the_rounding_of_exact_fits_is_no_heavy_tail(eps: float) -> None:
    """Control: where fits are not exact, a tail of how well they fit is told."""
    found = result_object(tree())
    found["eps"] = eps
    found["posterior"]["train_loss"] |= {"mean": 1.6e-31, "mcse": 8e-33, "believable": False}
    cells = next(row for row in law_rows(found) if row.kind == "posterior").cells
    assert ("0 (exact)" in cells) is (eps == 0)
    assert ("cannot be believed" in legend_line(found)) is (eps > 0)
