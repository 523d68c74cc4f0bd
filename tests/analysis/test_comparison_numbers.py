"""Every number of a comparison, made again from the draws by a few lines of numpy and scipy.

The expected objects are built whole and compared leaf by leaf, so a number that nothing here makes again is a failure.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import xarray as xr
from records_for_tests import configuration, descent, draws, mode, run, sensing_task, tree
from scipy import stats

import bayesgc.task as tasks
from bayesgc.analysis.compare import Comparison, compare
from bayesgc.analysis.numerals import quartiles, rounded, with_error
from bayesgc.inference.records import Estimate
from bayesgc.task import Task

EFFECTIVE, DEPTH, WIDTH = 120, 8, 5
QUANTITIES = (
    "gen_loss", "train_loss", "gen_loss_relative", "train_loss_relative", "error", "effective_rank", "nuclear_norm"
)  # fmt: skip
LAWS = ("prior", "posterior")
MATRIX_FUNCTIONS = ("gen_loss", "effective_rank", "nuclear_norm")
NEAR = {"rel": 2e-5, "abs": 1e-7}
"""Draws are kept in single precision."""


def weighted(
    task: Task | None = None,
    spread: float = 0.08,
    seed: int = 1,
    volume: tuple[float, float] | None = (-8.4, 0.08),
    evidence: tuple[float, float] | None = None,
    depth: int = DEPTH,
) -> xr.DataTree:
    """A result of importance weights, with 120 effective draws of 240, and nine of twelve restarts that fitted."""
    task = sensing_task() if task is None else task
    settings = configuration(task)
    settings["model"] |= {"family": "matrix-factorization", "normalize": False, "depth": depth}
    record = dataclasses.replace(
        run(task, posterior=draws(task, spread, seed)),
        method="importance",
        diagnostics={"effective_sample_size": float(EFFECTIVE), "pareto_k": 0.2, "pareto_k_limit": 0.6},
        log_volume=None if volume is None else Estimate(*volume, (volume[0] - 0.16, volume[0] + 0.16)),
        log_evidence=None if evidence is None else Estimate(*evidence, (None, 0.0)),
        eps=0.0 if volume is None else 0.0035,
    )
    found = {"gd": descent(task, 0.01, converged=9), "mode": mode(task, converged=6)}
    return tree(task, run=record, configuration=settings, seed=seed, **found)


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


def flat(result: xr.DataTree, law: str, name: str) -> np.ndarray:
    return result[law][name].values.astype(float).ravel()


def good(result: xr.DataTree, law: str, name: str) -> np.ndarray:
    return flat(result, law, name)[result[law]["converged"].values.astype(bool)]


def mean_with_error(values: np.ndarray, size: float) -> dict[str, float | None]:
    return {"mean": values.mean(), "mcse": values.std() / math.sqrt(size - 1)}


def moments(values: np.ndarray) -> dict[str, float]:
    q05, q50, q95 = np.quantile(values, [0.05, 0.5, 0.95])
    error = values.std() / math.sqrt(values.size)  # as the records for tests have it
    return {"mean": values.mean(), "sd": values.std(), "mcse": error, "q05": q05, "q50": q50, "q95": q95}


def spread_of(values: np.ndarray) -> dict[str, float]:
    return dict(zip(("q25", "median", "q75"), np.percentile(values, [25, 50, 75]), strict=True))


def restarts(result: xr.DataTree, law: str) -> dict[str, Any]:
    spreads = {name: spread_of(good(result, law, name)) for name in QUANTITIES}
    return spreads | {"restarts": 12, "converged": int(result[law]["converged"].sum())}


def most_probable(result: xr.DataTree) -> dict[str, Any]:
    place = int(np.argsort(good(result, "map", "energy"))[0])
    best = {name: good(result, "map", name)[place] for name in QUANTITIES}
    energy = spread_of(good(result, "map", "energy")) | {"best": good(result, "map", "energy").min()}
    return restarts(result, "map") | {"energy": energy, "best": best}


def losses_of(result: xr.DataTree, matrix: np.ndarray) -> dict[str, float]:
    """Mean squared errors on the measurements, and along an orthonormal basis of what they do not see."""
    measured, targets = result["constant_data"]["A"].values.reshape(7, -1), result["observed_data"]["y"].values
    unseen = np.linalg.svd(measured)[2][7:]
    gap = matrix.ravel() - result["ground_truth"]["end_to_end"].values.ravel()
    train = np.mean((measured @ matrix.ravel() - targets) ** 2)
    return {"gen_loss": np.mean((unseen @ gap) ** 2), "train_loss": train}


def baselines(result: xr.DataTree) -> dict[str, Any]:
    measured, targets = result["constant_data"]["A"].values.reshape(7, -1), result["observed_data"]["y"].values
    fitted = np.linalg.pinv(measured) @ targets
    matrices = {"zero": 0 * fitted, "least_squares": fitted, "nuclear_norm": 0.9 * fitted}
    return {name: losses_of(result, each) for name, each in matrices.items()} | {
        "chance": {"gen_loss": 0.08, "train_loss": None}
    }


def apart(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """W₁ from order statistics; KL from distances to nearest neighbours (Perez-Cruz 2008, equation 14)."""
    across = np.abs(first[:, None] - second).min(axis=1)
    within = np.sort(np.abs(first[:, None] - first), axis=1)[:, 1]
    kl = np.mean(np.log(across / within)) + math.log(first.size / (first.size - 1))
    return {"wasserstein": np.abs(np.sort(first) - np.sort(second)).mean(), "kl": max(kl, 0.0)}


def place(result: xr.DataTree, law: str, name: str) -> dict[str, float]:
    values, solutions = flat(result, "posterior", name), good(result, law, name)
    below = (values < np.median(solutions)).mean()
    each = [stats.percentileofscore(values, one, "mean") / 100 for one in solutions]
    error = math.sqrt(below * (1 - below) / (EFFECTIVE - 1)) if 0 < below < 1 else None
    return {"quantile": below, "mcse": error, "q25": np.quantile(each, 0.25), "q75": np.quantile(each, 0.75)}


def dependence(result: xr.DataTree) -> dict[str, float]:
    """240 draws make a table of 3 × 3 classes with 20 expected in each of 12 and more, were they that many."""
    train, gen = (flat(result, "prior", name) for name in ("train_loss", "gen_loss"))
    ranks = [stats.rankdata(each) for each in (train, gen)]
    rho = np.corrcoef(*ranks)[0, 1]
    counts = np.histogram2d(*ranks, bins=3)[0]
    expected = np.outer(counts.sum(1), counts.sum(0)) / counts.sum()
    g = 2 * np.sum(counts * np.log(counts / expected))
    return {
        "draws": 240,
        "spearman": rho,
        "spearman_mcse": (1 - rho**2) * math.sqrt(1.06 / 237),
        "mutual_information_bits": (g - 4) / (2 * 240) / math.log(2),
        "p_value": stats.chi2(4).sf(g),
    }


def law_of_spectrum(matrices: np.ndarray, size: int | None) -> dict[str, Any]:
    singular = np.linalg.svd(matrices.reshape(-1, 4, 3).astype(float), compute_uv=False)
    gaps = np.log(singular[:, 0] / np.maximum(singular[:, 1], 1e-300)) / DEPTH
    return {
        "singular_value": singular.mean(0).tolist(),
        "ratio": spread_of(singular[:, 1] / singular[:, 0]),
        "gap_per_layer": None if size is None else mean_with_error(gaps, size),
    }


def mean_log_chi2(freedom: int) -> float:
    """By quadrature."""
    return float(stats.chi2(freedom).expect(np.log, epsabs=1e-11, limit=200))


def spectrum(result: xr.DataTree) -> dict[str, Any]:
    kept = {law: result[law]["converged"].values.astype(bool) for law in ("gd", "map")}
    matrices = {law: result[law]["end_to_end"].values for law in ("prior", "posterior", "gd", "map")}
    sizes = {"prior": 240, "posterior": EFFECTIVE, "gd": None, "map": None}
    laws = {
        law: law_of_spectrum(each[kept[law]] if law in kept else each, sizes[law]) for law, each in matrices.items()
    }
    laws["truth"] = law_of_spectrum(result["ground_truth"]["end_to_end"].values, None)
    exponents = [0.5 * mean_log_chi2(WIDTH - i) for i in range(3)]
    # Bartlett: a layer adds log χ² with (its rows − i) degrees of freedom, and its variance of 1/rows three times.
    exact = sum(mean_log_chi2(rows - i) - math.log(rows) for rows in [WIDTH] * (DEPTH - 1) + [4] for i in range(3))
    singular = np.linalg.svd(matrices["prior"].reshape(-1, 4, 3).astype(float), compute_uv=False)
    found = mean_with_error(np.log(np.prod(singular**2, axis=1)), 240)
    return laws | {
        "lyapunov": {"exponents": exponents, "gap": exponents[0] - exponents[1]},
        "log_determinant": {"prior": found, "exact": exact},
    }


def entry(result: xr.DataTree, label: str, volume: float) -> dict[str, Any]:
    zero = baselines(result)["zero"]["gen_loss"]
    below = {law: flat(result, law, "gen_loss") < zero / 10 for law in LAWS}
    sizes = {"prior": 240, "posterior": EFFECTIVE}
    shares = {law: mean_with_error(each.astype(float), sizes[law]) for law, each in below.items()}
    laws = {law: {name: moments(flat(result, law, name)) for name in QUANTITIES} for law in LAWS}
    return {
        "label": label,
        "task": {
            "rank": 1, "seed": 1, "kind": "sensing", "shape": [4, 3], "measurements": 7, "held_out": 5,
            "truth_known": True,
        },
        "model": configuration(sensing_task())["model"] | {"family": "matrix-factorization", "normalize": False},
        "method": "importance",
        "eps": 0.0035,
        "seed": json.loads(result.attrs["seeds"])["seed"],
        "outcome": "converged",
        **laws,
        "gd": restarts(result, "gd"),
        "map": most_probable(result),
        "baselines": baselines(result),
        "log_volume": {"estimate": volume, "mcse": 0.08, "ci95": [volume - 0.16, volume + 0.16]},
        "log_evidence": None,
        "rarity": {"bits": -math.log2(math.exp(volume)), "mcse": 0.08 * math.log2(math.e)},
        "below": {
            "delta": zero / 10,
            **{law: {"estimate": each["mean"], "mcse": each["mcse"] or None} for law, each in shares.items()},
            "gd": (good(result, "gd", "gen_loss") < zero / 10).mean(),
        },
        "distance_from_prior": {
            name: apart(flat(result, "posterior", name), flat(result, "prior", name)) for name in MATRIX_FUNCTIONS
        },
        "standing": {law: {name: place(result, law, name) for name in MATRIX_FUNCTIONS} for law in ("gd", "map")},
        "dependence": dependence(result),
        "spectrum": spectrum(result),
    }  # fmt: skip


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
        **gaps,
        "bits": {"difference": (8.4 - 6.0) * -math.log2(math.e), "mcse": 0.08 * math.sqrt(2) * math.log2(math.e)},
        "evidence_bits": None,
        "distance": distances,
    }
    (rest, divergences), (same, wanted) = without_divergences(found), without_divergences(expected)
    assert_same(rest, same)
    assert divergences == pytest.approx(wanted, abs=0.01)


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
        "bits": None,
        "evidence_bits": None,
    }
    for name, gap in gaps.items():
        interval = stats.ttest_1samp(gap, 0).confidence_interval()
        expected[name] = {"difference": gap.mean(), "mcse": stats.sem(gap), "ci95": [*interval], "tasks": 3}
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
        gd, known, seen = each["gd"]["gen_loss"], each["dependence"], each["spectrum"]
        means = [with_error(each[law]["gen_loss"]["mean"], each[law]["gen_loss"]["mcse"]) for law in LAWS]
        share, gap = each["below"]["posterior"], seen["prior"]["gap_per_layer"]
        stands = [each["standing"]["gd"][name] for name in MATRIX_FUNCTIONS]
        places = [words.get(one["quantile"], with_error(one["quantile"], one["mcse"], 1)) for one in stands]
        assert {
            line(each["label"], *means, f"{rounded(gd['median'], 2)} {quartiles(gd['q25'], gd['q75'])}"),
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
    assert line("b", change, bits, rounded(distance["wasserstein"], 2), rounded(distance["kl"], 2)) in shown
    assert f"ΔE[L_gen] = {change}" in " ".join(str(comparison).split())


def test_every_number_of_the_dataset(pair: tuple[xr.DataTree, xr.DataTree]) -> None:
    dataset = compare(*pair, labels=["a", "b"]).to_dataset()
    for result, label, volume in zip(pair, "ab", (-8.4, -6.0), strict=True):
        each = entry(result, label, volume)
        expected = {
            **{f"{law}_gen_loss": each[law]["gen_loss"]["mean"] for law in LAWS},
            **{f"{law}_gen_loss_mcse": each[law]["gen_loss"]["mcse"] for law in LAWS},
            "gd_gen_loss": each["gd"]["gen_loss"]["median"],
            "gd_quantile": each["standing"]["gd"]["gen_loss"]["quantile"],
            "gd_quantile_mcse": each["standing"]["gd"]["gen_loss"]["mcse"] or math.nan,
            **{f"{law}_below": each["below"][law]["estimate"] for law in LAWS},
            "posterior_below_mcse": each["below"]["posterior"]["mcse"],
            "bits": each["rarity"]["bits"],
            "bits_mcse": each["rarity"]["mcse"],
        }
        found = {str(name): values.item() for name, values in dataset.sel(result=label).data_vars.items()}
        assert found == pytest.approx(expected, nan_ok=True, **NEAR)
