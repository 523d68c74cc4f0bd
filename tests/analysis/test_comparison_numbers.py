"""Every number of a comparison, made again from the draws.

The expected objects are built whole and compared leaf by leaf, so a number that nothing here makes again is a failure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xarray as xr
from recomputed_for_tests import LAWS, MATRIX_FUNCTIONS, WORTH, apart, chance_of_less, entry, flat, moments, weighted
from scipy import stats

import bayesgc.task as tasks
from bayesgc.analysis.compare.compare import Comparison, compare
from bayesgc.analysis.words.numerals import quartiles, rounded, with_error

NEAR = {"rel": 2e-5, "abs": 1e-7}
"""Draws are kept in single precision."""


def leaves(found: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(found, dict) or (isinstance(found, list) and found):
        for name, value in found.items() if isinstance(found, dict) else enumerate(found):
            yield from leaves(value, f"{path}/{name}")
    else:
        yield path, found


def assert_same(found: Any, expected: Any) -> None:
    """The same paths, and at each the same text or, but for rounding, the same number."""
    ours, theirs = dict(leaves(found)), dict(leaves(expected))
    assert set(ours) == set(theirs)
    assert {path: (ours[path], value) for path, value in theirs.items() if not alike(ours[path], value)} == {}


def alike(found: Any, expected: Any) -> bool:
    number = isinstance(expected, float | int)
    return bool(found is not None and found == pytest.approx(expected, **NEAR)) if number else found == expected


@pytest.fixture(scope="module")
def pair() -> tuple[xr.DataTree, xr.DataTree]:
    return weighted(), weighted(spread=0.2, seed=2, volume=(-6.0, 0.08))


def without_divergences(found: dict[str, Any]) -> tuple[dict[str, Any], dict[str, float]]:
    """The object without the estimates of KL, which arviz-stats makes of slightly shaken draws, and these."""
    apart = dict(leaves(found))
    return (
        {path: value for path, value in apart.items() if not path.endswith("/kl")},
        {path: value for path, value in apart.items() if path.endswith("/kl")},
    )


def test_every_number_of_a_result_in_a_comparison(pair: tuple[xr.DataTree, xr.DataTree]) -> None:
    first, second = compare(*pair, labels=["a", "b"]).results
    expected = [entry(result, label, volume) for result, label, volume in zip(pair, "ab", (-8.4, -6.0), strict=True)]
    for found, wanted in zip((first, second), expected, strict=True):
        (rest, divergences), (same, wanted_divergences) = without_divergences(found), without_divergences(wanted)
        assert_same(rest, same)
        assert divergences == pytest.approx(wanted_divergences, abs=0.01)
        assert len(rest) > 250
    # Draws of another spread are told apart: their own expectations do not suit one another.
    with pytest.raises(AssertionError):
        assert_same(first["distance_from_prior"]["gen_loss"], expected[1]["distance_from_prior"]["gen_loss"])


def test_every_number_of_a_difference(pair: tuple[xr.DataTree, xr.DataTree]) -> None:
    base, other = pair
    (found,) = compare(*pair, labels=["a", "b"]).differences
    gaps = {}
    for name in ("gen_loss", "gen_loss_relative"):
        ours, theirs = (moments(flat(result, "posterior", name)) for result in (other, base))
        error = math.sqrt(ours["mcse"] ** 2 + theirs["mcse"] ** 2)
        gaps[name] = {"difference": ours["mean"] - theirs["mean"], "mcse": error}
    distances = {
        name: apart(flat(other, "posterior", name), flat(base, "posterior", name)) for name in MATRIX_FUNCTIONS
    }
    expected = {
        "label": "b",
        "against": "a",
        "same_task": True,
        "same_eps": True,
        "shared_draws": False,
        "asks_nothing": [],
        **gaps,
        "bits": {"difference": (8.4 - 6.0) * -math.log2(math.e), "mcse": 0.08 * math.sqrt(2) * math.log2(math.e)},
        "evidence_bits": None,
        "factor": factor(
            [moments(flat(result, "posterior", "gen_loss")) for result in (other, base)], statistic="mean"
        ),
        "better": chance_of_less(*(flat(result, "posterior", "gen_loss") for result in (other, base)), (WORTH, WORTH)),
        "distance": distances,
        "hidden": None,
    }
    (rest, divergences), (same, wanted) = without_divergences(found), without_divergences(expected)
    assert_same(rest, same)
    assert divergences == pytest.approx(wanted, abs=0.01)


def factor(sides: list[dict[str, float]], statistic: str) -> dict[str, Any]:
    """The ratio of two losses with its normal interval on the logarithmic scale."""
    log = math.log(sides[0]["mean"] / sides[1]["mean"])
    half = 1.959964 * math.hypot(*(side["mcse"] / side["mean"] for side in sides))
    ends = [math.exp(log - half), math.exp(log + half)]
    standing = "lower" if ends[1] < 1 else "higher" if ends[0] > 1 else "undecided"
    both = {"ci95": ends, "sampling_ci95": ends, "standing": standing, "of_these_tasks": standing}
    return {"statistic": statistic, "estimate": math.exp(log), "tasks": 1, **both}


def test_evidence_is_compared_in_bits_on_one_task_and_not_between_tasks() -> None:
    exact = [weighted(volume=None, evidence=(value, 0.03), seed=seed) for seed, value in enumerate((-4.0, -1.5))]
    other = weighted(tasks.sensing(rows=4, cols=3, rank=1, measurements=7, seed=9), volume=None, evidence=(0.0, 0.1))
    fits = weighted()
    same, apart_, loose = compare(*exact, other, fits).differences
    assert same["evidence_bits"]["difference"] == pytest.approx(math.log2(math.exp(2.5)))
    assert same["evidence_bits"]["mcse"] == pytest.approx(0.03 * math.sqrt(2) / math.log(2))
    assert same["bits"] is apart_["evidence_bits"] is loose["evidence_bits"] is loose["bits"] is None
    text = str(compare(*exact))
    assert "log₂ Bayes f." in text
    assert with_error(2.5 / math.log(2), 0.03 * math.sqrt(2) / math.log(2)) in text
    assert "Bayes" not in str(compare(fits, fits))


@pytest.mark.parametrize("exact", [False, True])
def test_every_number_over_shared_tasks(exact: bool) -> None:
    every = [tasks.sensing(rows=4, cols=3, rank=1, measurements=7, seed=seed) for seed in range(3)]
    known = ("evidence", "evidence_bits", 1) if exact else ("volume", "bits", -1)
    logs = {2: [-3.0, -5.0, -4.0], 9: [-6.5, -6.0, -8.0]}
    sides = {
        depth: [
            weighted(task, 0.4 / depth, 10 * depth + i, depth=depth, **{"volume": None} | {known[0]: (log, 0.05)})
            for i, (task, log) in enumerate(zip(every, of_depth, strict=True))
        ]
        for depth, of_depth in logs.items()
    }
    (found,) = compare(*sides[2], *sides[9]).paired
    gaps = {known[1]: known[2] * np.subtract(logs[9], logs[2]) / math.log(2)}
    for name in ("gen_loss", "gen_loss_relative"):
        gaps[name] = np.subtract(*([flat(each, "posterior", name).mean() for each in sides[depth]] for depth in (9, 2)))
    expected: dict[str, Any] = {
        "label": "depth 9",
        "against": "depth 2",
        "tasks": 3,
        "same_eps": True,
        "asks_nothing": [],
        "bits": None,
        "evidence_bits": None,
    }
    for name, gap in gaps.items():
        interval = stats.ttest_1samp(gap, 0).confidence_interval()
        expected[name] = {"difference": gap.mean(), "mcse": stats.sem(gap), "ci95": [*interval], "tasks": 3}
    of_each = [[moments(flat(each, "posterior", "gen_loss")) for each in sides[depth]] for depth in (9, 2)]
    ratios = np.log([ours["mean"] / theirs["mean"] for ours, theirs in zip(*of_each, strict=True)])
    errors = [math.hypot(*(one["mcse"] / one["mean"] for one in two)) for two in zip(*of_each, strict=True)]
    sampling = 1.959964 * math.hypot(*errors) / 3
    over_tasks = np.exp(stats.ttest_1samp(ratios, 0).confidence_interval())
    expected["factor"] = {
        "statistic": "mean", "estimate": math.exp(ratios.mean()), "ci95": [*over_tasks],
        "sampling_ci95": [*np.exp(ratios.mean() + sampling * np.array([-1, 1]))], "tasks": 3, "standing": "lower",
        "of_these_tasks": "lower",
    }  # fmt: skip
    assert_same(found, expected)


def printed(comparison: Comparison) -> set[str]:
    """The lines of the tables, without their white space."""
    return {"".join(line.split()) for line in str(comparison).splitlines()}


def line(*cells: str) -> str:
    return "".join("".join(cells).split())


def test_every_number_of_the_printed_tables(pair: tuple[xr.DataTree, xr.DataTree]) -> None:
    comparison = compare(*pair, labels=["a", "b"])
    shown, words = printed(comparison), {0.0: "below all", 1.0: "above all"}
    expected = [entry(result, label, volume) for result, label, volume in zip(pair, "ab", (-8.4, -6.0), strict=True)]
    for each in expected:
        gd, known, seen = each["gd"]["at_eps"]["gen_loss"], each["dependence"], each["spectrum"]
        means = [with_error(each[law]["gen_loss"]["mean"], each[law]["gen_loss"]["mcse"]) for law in LAWS]
        share, gap = each["below"]["posterior"], seen["prior"]["gap_per_layer"]
        stands = [each["standing"]["gd"][name] for name in MATRIX_FUNCTIONS]
        places = [words.get(one["quantile"], with_error(one["quantile"], one["mcse"], 1)) for one in stands]
        assert {
            line(each["label"], *means, f"{rounded(gd['median'], 2)} {quartiles(gd['q25'], gd['q75'])}"),
            line(
                each["label"], rounded(each["posterior"]["train_loss"]["q50"], 2),
                *(rounded(one["train_loss"]["median"], 2) for one in (each["gd"]["at_eps"], each["gd"])),
                rounded(each["gd"]["gen_loss"]["median"], 2),
            ),
            line(
                each["label"], with_error(each["rarity"]["bits"], each["rarity"]["mcse"], 1),
                with_error(share["estimate"], share["mcse"], 1), *places,
            ),
            line(
                each["label"], with_error(known["spearman"], known["spearman_mcse"], 1), rounded(known["p_value"], 2),
                *(rounded(seen[law]["ratio"]["median"], 2) for law in LAWS),
                with_error(gap["mean"], gap["mcse"], 1), rounded(seen["lyapunov"]["gap"]),
            ),
        } <= shown  # fmt: skip
    assert f"Hereδ={rounded(expected[0]['below']['delta'], 2)}." in "".join(str(comparison).split())
    ours, theirs = (each["posterior"]["gen_loss"] for each in reversed(expected))
    change = with_error(ours["mean"] - theirs["mean"], math.hypot(ours["mcse"], theirs["mcse"]))
    bits = with_error(-2.4 / math.log(2), 0.08 * math.sqrt(2) / math.log(2))
    distance = apart(*(flat(each, "posterior", "gen_loss") for each in reversed(pair)))
    assert line("b − a", change, bits, rounded(distance["wasserstein"], 2), rounded(distance["kl"], 2)) in shown
    known = factor([moments(flat(each, "posterior", "gen_loss")) for each in reversed(pair)], "mean")
    ends = " to ".join(map(rounded, known["ci95"]))
    assert f"L_gen × {rounded(known['estimate'])}, 95 % {ends}, on this task)" in " ".join(str(comparison).split())


def test_every_number_of_the_dataset(pair: tuple[xr.DataTree, xr.DataTree]) -> None:
    dataset = compare(*pair, labels=["a", "b"]).to_dataset()
    for result, label, volume in zip(pair, "ab", (-8.4, -6.0), strict=True):
        each = entry(result, label, volume)
        expected = {
            **{f"{law}_gen_loss": each[law]["gen_loss"]["mean"] for law in LAWS},
            **{f"{law}_gen_loss_mcse": each[law]["gen_loss"]["mcse"] for law in LAWS},
            **{f"gd_{loss}": each["gd"][loss]["median"] for loss in ("gen_loss", "train_loss")},
            **{f"gd_at_eps_{loss}": each["gd"]["at_eps"][loss]["median"] for loss in ("gen_loss", "train_loss")},
            "gd_quantile": each["standing"]["gd"]["gen_loss"]["quantile"],
            "gd_quantile_mcse": each["standing"]["gd"]["gen_loss"]["mcse"] or math.nan,
            **{f"{law}_below": each["below"][law]["estimate"] for law in LAWS},
            "posterior_below_mcse": each["below"]["posterior"]["mcse"],
            "bits": each["rarity"]["bits"],
            "bits_mcse": each["rarity"]["mcse"],
        }
        found = {str(name): values.item() for name, values in dataset.sel(result=label).data_vars.items()}
        assert found == pytest.approx(expected, nan_ok=True, **NEAR)
