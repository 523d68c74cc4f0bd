"""What a comparison pairs, labels, refuses and knows the error of; its numbers are made again in another module."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from jsonschema import Draft202012Validator
from records_for_tests import CHAINS, DRAWS, configuration, draws, run, sensing_task, table_task, tree
from scipy import stats

import bayesgc as gc
import bayesgc.task as tasks
from bayesgc.analysis.claims.claims import judge
from bayesgc.analysis.compare.compare import compare, distinguishing_labels
from bayesgc.analysis.report.trends import change
from bayesgc.analysis.theory import expected_log_determinant, lyapunov_exponents
from bayesgc.analysis.tree.schema import schema
from bayesgc.analysis.tree.storage import save
from bayesgc.analysis.tree.stores import Store
from bayesgc.analysis.words.numerals import chance_in_words
from bayesgc.correlated import ENOUGH_ISLANDS
from bayesgc.inference.records import Estimate
from bayesgc.validate import InputError


def weighted(seed: int = 1, **changes: Any) -> xr.DataTree:
    """A result of plain importance weights, with 120 effective draws among 240."""
    task = changes.pop("task", sensing_task())
    spread = changes.pop("spread", 0.08)
    depth = changes.pop("depth", 8)
    settings = configuration(task)
    settings["model"] = {**settings["model"], "family": "matrix-factorization", "depth": depth}
    record = dataclasses.replace(
        run(task, posterior=draws(task, spread, seed)),
        method="importance",
        diagnostics={"effective_sample_size": 120.0, "pareto_k": 0.2, "pareto_k_limit": 0.6},
    )
    record = dataclasses.replace(record, method=changes.pop("method", record.method))
    settings["method"] = {"name": changes.pop("asked", record.method)}
    return tree(task, run=record, configuration=settings, seed=seed, **changes)


def islands(log_volumes: list[float]) -> xr.DataTree:
    """A result whose chains are islands of these log volumes."""
    task = sensing_task()
    posterior = draws(task, 0.08, 11)
    index = torch.arange(CHAINS)[:, None].expand(CHAINS, DRAWS)
    posterior.sample_stats.update(island=index, island_log_volume=torch.tensor(log_volumes).double()[index])
    record = dataclasses.replace(run(task, posterior=posterior), diagnostics={"islands": CHAINS})
    return tree(task, run=record)


def test_the_json_obeys_its_schema_and_survives_strict_json() -> None:
    results = [weighted(), tree(accepted=False), tree(table_task()), tree(with_gd=False), islands([0.0, 0.1, 0.2, 0.0])]
    found = compare(*results, delta=0.05).to_dict()
    Draft202012Validator(schema("comparison")).validate(json.loads(json.dumps(found, allow_nan=False)))


def test_a_comparison_says_whose_errors_rest_on_few_islands() -> None:
    few, other = islands([0.0] * CHAINS), weighted(depth=4)
    said = "G&C of few: from few islands, whose errors are hardly known"
    assert said in " ".join(str(compare({"few": few, "other": other})).split())
    few.attrs["diagnostics"] = json.dumps({"islands": ENOUGH_ISLANDS})
    assert "few islands" not in " ".join(str(compare({"few": few, "other": other})).split())


def test_results_may_come_in_a_list_or_by_name() -> None:
    one, other = weighted(), weighted(depth=4)
    plain = compare(one, other).to_dict()
    assert compare([one, other]).to_dict() == plain
    named = compare({"deep": one, "shallow": other}).to_dict()
    assert [entry["label"] for entry in named["results"]] == ["deep", "shallow"]
    assert named == compare(one, other, labels=["deep", "shallow"]).to_dict()
    assert named != plain
    assert compare({"deep": one, "shallow": other}, labels=["a", "b"]).to_dict() != named


@pytest.mark.parametrize("nothing", [(), ([],), ({},)])
def test_no_result_is_refused(nothing) -> None:
    with pytest.raises(InputError, match="compare got no result"):
        compare(*nothing)


def test_one_file_twice_is_refused(tmp_path: Path) -> None:
    one, other = (save(weighted(seed), tmp_path / f"{seed}.nc") for seed in (1, 2))
    with pytest.raises(InputError, match=r"compare got .*1\.nc twice; give different results"):
        compare(one, other, tmp_path / ".." / tmp_path.name / "1.nc")
    assert len(compare(one, other).results) == 2


@pytest.mark.usefixtures("unchecked")
def test_what_is_no_result_is_refused() -> None:
    with pytest.raises(InputError, match="compare got 3; give DataTrees or files"):
        compare(3)


def test_losses_rarity_and_shares_are_those_of_the_draws() -> None:
    result = weighted()
    (entry,) = compare(result, delta="50%").results
    posterior, prior = (result[law]["gen_loss"] for law in ("posterior", "prior"))
    assert entry["posterior"]["gen_loss"]["mean"] == pytest.approx(posterior.attrs["mean"])
    assert entry["rarity"]["bits"] == pytest.approx(8.4 * math.log2(math.e))
    assert entry["rarity"]["mcse"] == pytest.approx(0.08 * math.log2(math.e))
    zero = float(result["constant_data"]["reference_gen_loss"].sel(reference="zero"))
    below = (posterior.values < zero / 2).mean()
    assert entry["below"]["delta"] == pytest.approx(zero / 2)
    assert entry["below"]["posterior"]["estimate"] == pytest.approx(below)
    assert 0 < below < 1
    # 240 draws, resampled from weighted ones that are worth 120, are worth 80.
    assert entry["below"]["posterior"]["mcse"] == pytest.approx(math.sqrt(below * (1 - below) / 79))
    share = (prior.values < zero / 2).mean()
    assert entry["below"]["prior"]["mcse"] == pytest.approx(math.sqrt(share * (1 - share) / (prior.size - 1)))
    assert entry["below"]["gd"] == pytest.approx(float((result["gd_at_eps"]["gen_loss"] < zero / 2).mean()))


def test_an_event_that_no_draw_saw_has_no_error() -> None:
    (entry,) = compare(weighted(), delta=1e-12).results
    assert entry["below"]["posterior"] == {"estimate": 0.0, "mcse": None}


def test_the_error_over_islands_is_that_of_a_ratio_of_two_means() -> None:
    logs = [0.0, 0.5, -0.3, 0.2]
    result = islands(logs)
    bound = float(result["posterior"]["gen_loss"].median())
    (entry,) = compare(result, delta=bound).results
    # Jackknife over islands of Σ V p / Σ V, where the draws already count every island alike here: so V only weighs.
    means = (result["posterior"]["gen_loss"].values < bound).mean(1)
    volumes = np.exp(logs)
    left_out = [np.delete(volumes, i) @ np.delete(means, i) / np.delete(volumes, i).sum() for i in range(CHAINS)]
    jackknife = math.sqrt((CHAINS - 1) * np.var(left_out))
    assert entry["below"]["posterior"]["mcse"] == pytest.approx(jackknife, rel=0.25)
    # A negative control: taking particles for independent draws gives another error.
    share = means.mean()
    assert entry["below"]["posterior"]["mcse"] != pytest.approx(math.sqrt(share * (1 - share) / 240), rel=0.05)


def test_differences_add_the_errors_of_independent_runs() -> None:
    first, other = weighted(1), weighted(2, spread=0.2)
    (gap,) = compare(first, other).differences
    ours, theirs = (each["posterior"]["gen_loss"].attrs for each in (other, first))
    assert gap["same_task"]
    assert gap["gen_loss"]["difference"] == pytest.approx(ours["mean"] - theirs["mean"])
    assert gap["gen_loss"]["mcse"] == pytest.approx(math.sqrt(ours["mcse"] ** 2 + theirs["mcse"] ** 2))
    assert gap["bits"] == {"difference": 0.0, "mcse": pytest.approx(0.08 * math.sqrt(2) / math.log(2))}
    flat = [np.sort(each["posterior"]["gen_loss"].values.ravel()) for each in (other, first)]
    # Of two samples of one size, W₁ is the mean distance of the order statistics.
    assert gap["distance"]["gen_loss"]["wasserstein"] == pytest.approx(np.abs(flat[0] - flat[1]).mean())


def test_runs_of_the_same_random_numbers_have_a_difference_of_unknown_error() -> None:
    """Rejection twice from one seed at two thresholds: the tighter draws are among the wider ones."""
    task, model = sensing_task(), gc.MatrixFactorization(depth=2, width=3, normalize=True)
    settings = {"method": "rejection", "gd": False, "map": False, "chains": 2, "draws": 50, "max_evaluations": 20_000}
    wide, tight, apart = (
        gc.infer(model, task, eps=eps, seed=seed, **settings) for eps, seed in (("60%", 0), ("55%", 0), ("55%", 1))
    )
    same, other = compare(wide, tight, apart).differences
    assert (same["shared_draws"], other["shared_draws"]) == (True, False)
    assert same["gen_loss"]["mcse"] is None
    assert same["bits"]["mcse"] is None
    assert other["gen_loss"]["mcse"] > 0
    (twice,) = compare(wide, wide).differences
    assert twice["gen_loss"] == {"difference": 0.0, "mcse": None}
    assert "share their random numbers, so no error is known" in str(compare(wide, tight))


def test_divergence_is_near_that_of_two_normals_and_zero_of_a_law_from_itself() -> None:
    from bayesgc.analysis.compare.distance import _distance

    source = np.random.default_rng(0)
    first, second = source.normal(0, 1, (1, 4000)), source.normal(1, 2, (1, 4000))
    exact = math.log(2) + (1 + 1) / 8 - 0.5
    # The nearest-neighbour estimate has an error of about 1/√N per draw of a log ratio of spread near 1.5.
    assert _distance(first, second)["kl"] == pytest.approx(exact, abs=4 * 1.5 / math.sqrt(4000))
    assert _distance(first, source.normal(0, 1, (1, 4000)))["kl"] < 0.1
    assert _distance(first, first[:, :5]) is None
    # Copies that resampling made change nothing.
    assert _distance(np.repeat(first, 3, axis=1), second)["kl"] == pytest.approx(
        _distance(first, second)["kl"], abs=0.01
    )


def test_dependence_is_seen_where_it_is_and_not_where_it_is_not() -> None:
    result = weighted()
    (entry,) = compare(result).results
    pair = [result["prior"][name].values.ravel() for name in ("train_loss", "gen_loss")]
    assert entry["dependence"]["spearman"] == pytest.approx(stats.spearmanr(*pair).statistic)
    assert entry["dependence"]["p_value"] < 1e-3  # a common scale makes both losses large or small
    result["prior"]["gen_loss"].values[:] = np.random.default_rng(3).permutation(pair[1]).reshape(CHAINS, DRAWS)
    (entry,) = compare(result).results
    assert entry["dependence"]["p_value"] > 1e-3
    assert entry["dependence"]["mutual_information_bits"] < 0.05


def test_mutual_information_of_a_known_law() -> None:
    from bayesgc.analysis.compare.dependence import loss_dependence

    source, rho, size = np.random.default_rng(1), 0.6, 40_000
    x = source.normal(size=(1, size))
    y = rho * x + math.sqrt(1 - rho**2) * source.normal(size=(1, size))
    prior = xr.Dataset({name: (("chain", "draw"), v) for name, v in (("train_loss", x), ("gen_loss", y))})
    found = loss_dependence(xr.DataTree.from_dict({"prior": prior}))
    assert found is not None
    # Binning into twelve classes loses a few percent of −½ log₂(1 − ρ²).
    assert found["mutual_information_bits"] == pytest.approx(-0.5 * math.log2(1 - rho**2), rel=0.08)
    assert found["spearman"] == pytest.approx(6 / math.pi * math.asin(rho / 2), abs=4 * found["spearman_mcse"])


def test_exponents_and_determinants_are_the_known_values() -> None:
    assert lyapunov_exponents(5) == pytest.approx([0.69815, 0.55797, 0.36482, 0.05797, -0.63518], abs=1e-5)
    scales = [1 / math.sqrt(rows) for rows in (7, 4, 3)]
    assert expected_log_determinant(3, 5, [7, 4], scales) == pytest.approx(-3.2805, abs=1e-4)
    assert expected_log_determinant(3, 5, [7, 2], scales) is None


def test_long_products_collapse_at_the_rate_of_the_exponents() -> None:
    """The growth of E log(σ₁/σ₂) between two depths is the gap of the exponents; the start of it drops out."""
    source, gaps = np.random.default_rng(5), {}
    for depth in (12, 24):
        product = source.normal(size=(4000, 5, 5))
        for _ in range(depth - 1):
            product = source.normal(size=product.shape) @ product
            product /= np.linalg.norm(product, axis=(1, 2), keepdims=True)
        singular = np.linalg.svd(product, compute_uv=False)
        gaps[depth] = np.log(singular[:, 0] / singular[:, 1])
    growth = (gaps[24].mean() - gaps[12].mean()) / 12
    error = math.hypot(*(each.std() / math.sqrt(4000) for each in gaps.values())) / 12
    exponents = lyapunov_exponents(5)
    assert growth == pytest.approx(
        exponents[0] - exponents[1], abs=4 * error + 0.004
    )  # 0.004: depth 12 is no limit yet
    assert abs(growth - (exponents[1] - exponents[2])) > 4 * error + 0.004


def test_a_real_prior_has_the_determinant_that_theory_gives() -> None:
    task = gc.sensing(rows=3, cols=4, rank=1, measurements=6, seed=0)
    model = gc.MatrixFactorization(depth=3, width=5, normalize=False)
    result = gc.infer(model, task, eps="80%", method="rejection", gd=False, map=False, chains=4, draws=1000)
    found = compare(result).results[0]["spectrum"]["log_determinant"]
    assert found["prior"]["mean"] == pytest.approx(found["exact"], abs=4 * found["prior"]["mcse"])


def test_configurations_are_paired_over_the_tasks_they_share() -> None:
    all_tasks = [tasks.sensing(rows=4, cols=3, rank=1, measurements=7, seed=seed) for seed in range(3)]
    shallow = [weighted(10 + i, task=task, depth=2, spread=0.3) for i, task in enumerate(all_tasks)]
    deep = [weighted(20 + i, task=task, depth=9, spread=0.05) for i, task in enumerate(all_tasks[:2])]
    (pair,) = compare(*shallow, *deep).paired
    means = [[each["posterior"]["gen_loss"].attrs["mean"] for each in side] for side in (deep, shallow[:2])]
    gaps = np.subtract(*means)
    assert (pair["label"], pair["against"], pair["tasks"]) == ("depth 9", "depth 2", 2)
    low, high = stats.ttest_1samp(gaps, 0).confidence_interval()
    assert pair["gen_loss"]["difference"] == pytest.approx(gaps.mean())
    assert pair["gen_loss"]["mcse"] == pytest.approx(stats.sem(gaps))
    assert pair["gen_loss"]["ci95"] == pytest.approx([low, high])


def test_methods_are_paired_and_repeats_on_one_task_are_averaged() -> None:
    every = [tasks.sensing(rows=4, cols=3, rank=1, measurements=7, seed=seed) for seed in range(2)]
    one = [weighted(10 + i, task=task) for i, task in enumerate(every)]
    other = [weighted(20 + i, task=task, method="rejection") for i, task in enumerate([*every, every[0]])]
    (pair,) = compare(*one, *other).paired
    assert (pair["label"], pair["against"], pair["tasks"]) == ("method rejection", "method importance", 2)
    means = [[each["posterior"]["gen_loss"].attrs["mean"] for each in side] for side in (one, other)]
    gaps = [(means[1][0] + means[1][2]) / 2 - means[0][0], means[1][1] - means[0][1]]
    assert pair["gen_loss"]["difference"] == pytest.approx(np.mean(gaps))
    assert pair["gen_loss"]["mcse"] == pytest.approx(stats.sem(gaps))


def test_what_auto_took_on_each_task_does_not_part_its_tasks() -> None:
    every = [tasks.sensing(rows=4, cols=3, rank=1, measurements=7, seed=seed) for seed in range(3)]
    took = ("importance", "rejection", "importance")
    shallow = [weighted(10 + i, task=task, depth=2, asked="auto") for i, task in enumerate(every)]
    both = enumerate(zip(every, took, strict=True))
    deep = [weighted(20 + i, task=task, depth=9, method=method, asked="auto") for i, (task, method) in both]
    (pair,) = compare(*shallow, *deep).paired
    assert (pair["label"], pair["against"], pair["tasks"]) == ("depth 9", "depth 2", 3)


@pytest.mark.parametrize(("seeds", "shared"), [((4, 5, 6), False), ((4, 4, 6), True)])
def test_an_error_that_the_tasks_have_in_common_is_added(seeds: tuple[int, ...], shared: bool) -> None:
    every = [tasks.sensing(rows=4, cols=3, rank=1, measurements=7, seed=seed) for seed in range(3)]
    shallow = [weighted(seed, task=task, depth=2) for task, seed in zip(every, (1, 2, 3), strict=True)]
    deep = [weighted(seed, task=task, depth=9) for task, seed in zip(every, seeds, strict=True)]
    (pair,) = compare(*shallow, *deep).paired
    ours, theirs = ([each["posterior"]["gen_loss"].attrs for each in side] for side in (deep, shallow))
    gaps = [one["mean"] - two["mean"] for one, two in zip(ours, theirs, strict=True)]
    common = np.mean([math.hypot(one["mcse"], two["mcse"]) for one, two in zip(ours, theirs, strict=True)])
    wanted = math.hypot(stats.sem(gaps), common if shared else 0.0)
    assert pair["gen_loss"]["mcse"] == pytest.approx(wanted)
    assert np.ptp(pair["gen_loss"]["ci95"]) == pytest.approx(2 * stats.t.ppf(0.975, 2) * wanted)
    # Where it is not known, neither is the common error.
    del deep[0]["posterior"]["gen_loss"].attrs["mcse"]
    (pair,) = compare(*shallow, *deep).paired
    assert (pair["gen_loss"] is None) == shared


@pytest.mark.parametrize(
    ("center", "apart", "words"),
    [
        (2.0, 0.001, "Generalises worse: depth 9, than depth 2 (L_gen × 2.00, 95 % 1.97 to 2.03 over 2 tasks)."),
        (2.0, 0.1, "Two tasks cannot decide between depth 9 and depth 2 (L_gen × 2.00, 95 % 0.561 to 7.13 over"),
        (1.01, 0.001, "Generalise alike, to within 10 %: depth 9 and depth 2 (L_gen × 1.01"),
    ],
)  # fmt: skip
def test_the_sentence_over_tasks_says_what_the_interval_says(center: float, apart: float, words: str) -> None:
    """Two tasks whose log factors are log 2 ± apart: t(1) asks for 12.7 standard errors, a normal law for 1.96."""
    (pair,), text = paired_with_factors([center * math.exp(sign * apart) for sign in (-1, 1)])
    assert words in text
    half = stats.t.ppf(0.975, 1) * apart
    assert pair["factor"]["ci95"] == pytest.approx([center * math.exp(-half), center * math.exp(half)])
    # What sampling alone says of these tasks is another question, and here it has an answer where tasks have none.
    assert ("On these very tasks depth 9 generalises worse" in text) == ("cannot decide" in words)


def test_two_tasks_are_judged_as_claims_judge_them(tmp_path: Path) -> None:
    """The same numbers as a sweep: one rule, so one interval and no two answers."""
    factors = [0.21, 0.23]
    (pair,), _ = paired_with_factors(factors)
    losses = np.array([[1.0, 1.0], factors])
    dims = ("depth", "task_seed")
    names = {"posterior_gen_loss": losses, "posterior_gen_loss_mcse": 0.01 * losses, "prior_gen_loss": losses}
    variables = {name: (dims, values) for name, values in names.items()}
    variables["outcome"] = (dims, np.full((2, 2), "converged", dtype=object))
    variables["gd_gen_loss"] = (dims, np.full((2, 2), np.nan))
    cells = xr.Dataset(variables, {"depth": [2, 9], "task_seed": [0, 1]}, {"sweep": '{"options": {}}'})
    cells.to_netcdf(tmp_path / "sweep.nc", engine="h5netcdf")
    claim = next(each for each in judge([tmp_path]).claims if each.claim == "depth helps")
    (panel,) = Store(tmp_path, {}, cells).panels
    gap = change(panel)
    assert gap is not None
    assert pair["factor"]["ci95"] == pytest.approx(claim.ci95)
    assert gap.ratio.over_tasks().factors() == pytest.approx(claim.ci95)
    assert (pair["factor"]["standing"], gap.judgement, claim.verdict) == ("lower", "lower", "holds")


def paired_with_factors(factors: list[float]) -> tuple[list[dict[str, Any]], str]:
    """Depth 9 against depth 2 on so many tasks, with E[L_gen] changed by these factors; means known to 1 %."""
    every = [tasks.sensing(rows=4, cols=3, rank=1, measurements=7, seed=seed) for seed in range(len(factors))]
    base = [weighted(10 + i, task=task, depth=2) for i, task in enumerate(every)]
    other = [weighted(20 + i, task=task, depth=9) for i, task in enumerate(every)]
    for factor, before, after in zip(factors, base, other, strict=True):
        mean = before["posterior"]["gen_loss"].attrs["mean"]
        before["posterior"]["gen_loss"].attrs["mcse"] = 0.01 * mean
        after["posterior"]["gen_loss"].attrs |= {"mean": factor * mean, "mcse": 0.01 * factor * mean}
    comparison = compare(*base, *other)
    return comparison.paired, " ".join(str(comparison).split())


def test_a_task_without_a_number_leaves_nothing_decided() -> None:
    every = [tasks.sensing(rows=4, cols=3, rank=1, measurements=7, seed=seed) for seed in range(3)]
    base = [weighted(10 + i, task=task, depth=2, spread=0.3) for i, task in enumerate(every)]
    other = [weighted(20 + i, task=task, depth=9, spread=0.05) for i, task in enumerate(every)]
    assert compare(*base, *other).paired[0]["factor"]["standing"] == "lower"
    del other[0]["posterior"]
    comparison = compare(*base, *other)
    assert comparison.paired[0]["factor"]["standing"] == "undecided"
    assert "1 of 3 tasks have no number, so nothing is decided" in " ".join(str(comparison).split())


def test_nothing_is_paired_without_shared_tasks() -> None:
    other = tasks.sensing(rows=4, cols=3, rank=1, measurements=7, seed=9)
    comparison = compare(weighted(1, depth=2), weighted(2, task=other, depth=3), labels=["a", "b"])
    assert comparison.paired == []
    (gap,) = comparison.differences
    assert (gap["same_task"], gap["factor"]) == (False, None)
    text = " ".join(str(comparison).split())
    assert "Not judged against a: b, on another task. Other data change the result by more than the errors" in text
    assert "b − a" not in text
    assert "Generalise" not in text


def test_a_verdict_says_where_a_fit_asks_for_nothing_and_where_fits_are_unequal() -> None:
    strict, loose = weighted(depth=2), weighted(depth=8, spread=0.3)
    assert "But" not in str(compare(strict, loose))
    loose.attrs["eps"] = 1e6  # which the zero matrix passes
    (gap,) = (found := compare(strict, loose, labels=["a", "b"])).differences
    assert (gap["same_eps"], gap["asks_nothing"]) == (False, ["label"])
    text = " ".join(str(found).split())
    assert "Generalises worse: b, than a (" in text
    assert (
        ", on this task). But of b a fit asks for next to nothing, so it explains nothing there, and their thresholds"
        in text
    )
    assert text.endswith("their thresholds differ, so they do not fit equally well.")


def test_over_tasks_the_same_is_said() -> None:
    every = [tasks.sensing(rows=4, cols=3, rank=1, measurements=7, seed=seed) for seed in range(2)]
    base = [weighted(10 + i, task=task) for i, task in enumerate(every)]
    other = [weighted(20 + i, task=task) for i, task in enumerate(every)]
    for each in other:
        each.attrs["eps"] = 1e6
    comparison = compare(*base, *other)
    (pair,) = comparison.paired
    assert (pair["same_eps"], pair["asks_nothing"]) == (False, ["label"])
    assert "explains nothing there, and their thresholds differ" in " ".join(str(comparison).split())
    Draft202012Validator(schema("comparison")).validate(comparison.to_dict())


def test_one_result_alone_is_told_to_have_no_other() -> None:
    assert str(compare(weighted())).endswith("One result alone has nothing to be compared with; give two or more.\n")
    assert "alone" not in str(compare(weighted(1), weighted(2)))


def test_long_labels_are_numbers_in_sentences() -> None:
    long, short = (
        " ".join(str(compare(weighted(depth=2), weighted(depth=8, spread=0.3), labels=labels)).split())
        for labels in (["a" * 31, "b"], ["a" * 30, "b"])
    )
    assert "Generalises worse: result 2, than result 1 (" in long
    assert f"Generalises worse: b, than {'a' * 30} (" in short


@pytest.mark.parametrize(("p_value", "words"), [(1.4e-113, "< 1e-6"), (0.0, "< 1e-6"), (0.037, "0.037")])
def test_chances_are_no_smaller_than_a_test_can_tell(p_value: float, words: str) -> None:
    assert chance_in_words(p_value) == words


def test_labels_say_what_differs_and_are_told_apart_in_the_end() -> None:
    assert distinguishing_labels([weighted(depth=2), weighted(depth=8)]) == ["depth 2", "depth 8"]
    assert distinguishing_labels([weighted(), weighted()]) == ["result 1", "result 2"]


def test_how_a_table_is_written_is_a_label_only_where_nothing_else_differs() -> None:
    def of(**facts: str) -> xr.DataTree:
        settings = configuration(sensing_task())
        return tree(configuration=settings | {"task": settings["task"] | facts})

    comma, other = of(file="a.csv", heading="city"), of(file="b.csv", heading="town", separator="semicolon")
    assert distinguishing_labels([comma, other]) == ["a.csv", "b.csv"]
    asked = [of(file="a.csv", separator=name) for name in ("bar", "semicolon")]
    assert distinguishing_labels(asked) == ["separator bar", "separator semicolon"]
    assert distinguishing_labels([comma, of(file="a.csv", heading="town")]) == ["result 1", "result 2"]


def test_the_table_fits_eighty_columns_and_takes_labels_for_text() -> None:
    text = str(compare(weighted(depth=2), weighted(depth=8, spread=0.3), labels=["[red]x[/red]", "<b>"]))
    assert max(map(len, text.splitlines())) <= 80
    assert "[red]x[/red]" in text
    assert "…" not in text.replace("GD in L_gen …", "")
    assert "Generalises worse: <b>, than [red]x[/red]" in text


def test_what_no_result_has_is_neither_a_column_nor_in_a_note() -> None:
    with_gd, without = (str(compare(*(tree(with_gd=gd, seed=seed) for seed in (1, 2)))) for gd in (True, False))
    for words in ("GD, at equal fit", "GD: median [quartiles]", "GD in L_gen …:", "in nuc. norm"):
        assert (words in with_gd, words in without) == (True, False)


def test_a_notebook_shows_the_table_once_and_a_session_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = compare(weighted())
    text = str(comparison)
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)  # then rich displays what it prints
    assert str(comparison) == repr(comparison) == text


def test_a_dataset_has_a_row_for_each_result_and_nan_for_what_is_absent() -> None:
    dataset = compare(weighted(), tree(accepted=False), labels=["a", "b"]).to_dataset()
    assert dataset["posterior_gen_loss"].sel(result="a") == pytest.approx(
        weighted()["posterior"]["gen_loss"].attrs["mean"]
    )
    assert math.isnan(dataset["posterior_gen_loss"].sel(result="b"))


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ([], {}, "no result"),
        ([tree()], {"labels": ["a", "b"]}, "labels has 2 names"),
        ([tree()], {"delta": "-1"}, "delta is '-1'"),
        ([tree(table_task())], {"delta": "banana"}, "delta is 'banana'"),
        ([tree(references={})], {"delta": "10%"}, "no loss to take a share of"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: list[Any], options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        compare(*arguments, **options)


def test_an_unknown_volume_stays_unknown() -> None:
    task = sensing_task()
    record = dataclasses.replace(
        run(task, posterior=draws(task, 0.1, 3)), log_volume=Estimate(None, None, (None, -3.0))
    )
    comparison = compare(weighted(), tree(task, run=record))
    assert comparison.results[1]["rarity"] is None
    assert comparison.differences[0]["bits"] is None


def test_results_that_did_not_converge_are_provisional() -> None:
    short, whole = weighted(depth=2), weighted(depth=8)
    assert "provisional" not in str(gc.compare(short, whole))
    short.attrs["outcome"] = "exhausted"
    assert "Not converged, so that all said of it is provisional: depth 2 (exhausted)." in str(gc.compare(short, whole))
