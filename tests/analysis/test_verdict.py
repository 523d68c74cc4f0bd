from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from records_for_tests import table_task, tree

from bayesgc.analysis.judgements import descent_is_typical
from bayesgc.analysis.plots.losses import losses_title
from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.words.numerals import one_in, one_in_print, rounded, with_error
from bayesgc.analysis.words.verdict import verdict


def law(mean: float, mcse: float | None, spread: float = 0.5, **changes: Any) -> dict[str, Any]:
    ends = {"q05": mean * (1 - spread), "q50": mean, "q95": mean * (1 + spread), "q50_mcse": mcse, "believable": True}
    ends |= {"q25": mean * (1 - 0.4 * spread), "q75": mean * (1 + 0.4 * spread)}
    loss = {"mean": mean, "sd": mean * spread, "mcse": mcse, **ends, **changes}
    return {"gen_loss": loss, "train_loss": {"mean": 0.0025, "q50": 0.003}}


def descent(
    median: float, *, restarts: int = 64, converged: int | None = None, end: float = 1e-6, fit: float = 0.0034
) -> dict[str, Any]:
    """Gradient descent with this L_gen at ε, and ``end`` at its end."""
    fitted = restarts if converged is None else converged
    at_eps = part(median, restarts, fitted, fit)
    return part(end, restarts, fitted, 4e-8) | {"at_eps": at_eps if fitted else None}


def matrices(rank: float, norm: float) -> dict[str, Any]:
    """Draws of which nine in ten are within 20 % of this rank and norm."""
    return {
        name: {"q05": 0.8 * value, "q95": 1.2 * value}
        for name, value in (("effective_rank", rank), ("nuclear_norm", norm))
    }


def of_rank(rank: float, norm: float) -> dict[str, Any]:
    """Gradient descent as good as the draws that fit, of this rank and norm at ε."""
    found = descent(0.0187)
    others = {"effective_rank": {"median": rank}, "nuclear_norm": {"median": norm}}
    return found | {"at_eps": found["at_eps"] | others}


def starting(at_start: int) -> dict[str, Any]:
    """Gradient descent of which so many restarts in 64 passed ε where they started."""
    found = descent(0.0187)
    return found | {"at_eps": found["at_eps"] | {"at_start": at_start}}


def stopped(restarts: int, fitted: int) -> dict[str, Any]:
    """So many restarts that had no time to come to their end, and how many of them fitted."""
    return {"cut": {"restarts": restarts, "fitted": fitted}}


def part(median: float, restarts: int, fitted: int, fit: float) -> dict[str, Any]:
    spreads = {
        name: {"median": value, "q25": value * 0.9, "q75": value * 1.1} if fitted else None
        for name, value in (("gen_loss", median), ("train_loss", fit))
    }
    return {**spreads, "restarts": restarts, "converged": fitted}


def result(**changes: Any) -> dict[str, Any]:
    return {
        "posterior": law(0.0187, 0.0004),
        "prior": law(0.0941, 0.0002),
        "gd": descent(0.0011),
        "baselines": {"zero": {"gen_loss": 0.0407}},
        "outcome": "converged",
        "eps": 0.0035,
        "dtype": "float32",
        "task": {"held_out": 10, "truth_known": True},
        "model": {},
        "unobserved": None,
        "log_volume": {"ci95": [None, -12.0]},
        "diagnostics": {"evaluations": 1000},
    } | changes


BRANCHES: dict[str, tuple[dict[str, Any], str]] = {
    "all better": (
        {},
        "Weights that merely fit generalise better than the prior (mean L_gen 0.01870 ± 0.00040 against 0.09410 ± "
        "0.00020) "
        "and better than predicting zero (0.0407). Gradient descent, at about the same fit (training loss 0.0034, "
        "0.0030 for the posterior), does better still, at a median of 0.00110 [0.00099, 0.0012] against "
        "0.0187 [0.015, 0.022]: "
        "fitting alone explains part of it. At its "
        "end (training loss 4.0e-08) it has 1.0e-06 [9.0e-07, 1.1e-06].",
    ),
    "no descent": ({"gd": None}, r"predicting zero (0.0407)."),
    "no restart fitted": ({"gd": descent(0.1, converged=0)}, "No restart of gradient descent fitted (64 tried)"),
    "no restart fitted, as all were stopped": (
        {"gd": descent(0.1, converged=0) | stopped(64, 0)},
        "Gradient descent was stopped early, before any of its 64 restarts fitted, so it cannot be compared.",
    ),
    "no restart fitted, and some were stopped": (
        {"gd": descent(0.1, converged=0) | stopped(3, 0)},
        "No restart of gradient descent fitted (64 tried, 3 of them stopped early), so it cannot be compared.",
    ),
    "stopped on the way to its end": (
        {"gd": descent(0.0187) | stopped(64, 64)},
        "fitting alone explains it. Where it was stopped early (training loss 4.0e-08) it has 1.0e-06",
    ),
    "a few of those that fitted were stopped": (
        {"gd": descent(0.0187) | stopped(9, 1)},
        ". At its end, but for 1 restart that was stopped early (training loss 4.0e-08) it has 1.0e-06",
    ),
    "those that fitted were at their end": ({"gd": descent(0.0187) | stopped(4, 0)}, ". At its end (training loss"),
    "exact fits, stopped": (
        {"eps": 0.0, "gd": descent(0.05, end=0.0187) | stopped(33, 33) | {"at_eps": None}},
        "Gradient descent, where it was stopped early (training loss 4.0e-08), does about as well, at a median of "
        "0.0187",
    ),
    "nothing accepted, and descent stopped": (
        {"posterior": None, "outcome": "exhausted", "gd": descent(0.1, converged=0) | stopped(64, 0)},
        ". Gradient descent was stopped early, before any of its 64 restarts fitted.",
    ),
    "zero passes": (
        {"baselines": {"zero": {"gen_loss": 0.0407, "train_loss": 0.003}}},
        "Predicting zero already passes ε = 0.0035, so a fit asks for next to nothing here and explains nothing. "
        "Weights that merely fit generalise better than the prior (mean L_gen 0.01870 ± 0.00040 against 0.09410 ± "
        "0.00020) "
        "and better than predicting zero (0.0407). Gradient descent is not compared. At its end (training loss "
        "4.0e-08) it has 1.0e-06 [9.0e-07, 1.1e-06].",
    ),
    "zero passes, and the run did not converge": (
        {"outcome": "exhausted", "baselines": {"zero": {"gen_loss": 0.0407, "train_loss": 0.003}}},
        "Provisional, as the run has not converged (exhausted): predicting zero already passes ε = 0.0035, so a fit",
    ),
    "zero is just no fit": (
        {"baselines": {"zero": {"gen_loss": 0.0407, "train_loss": 0.0035}}, "gd": descent(0.0187)},
        "about as well, at a median of 0.0187 [0.017, 0.021] against 0.0187 [0.015, 0.022]: fitting alone explains it",
    ),
    "most restarts pass at their start": (
        {"gd": starting(33)},
        "Gradient descent at its start already passes ε = 0.0035, so a fit asks for next to nothing here and explains "
        "nothing. Weights that merely fit",
    ),
    "half of the restarts pass at their start": (
        {"gd": starting(32)},
        "at about the same fit (training loss 0.0034, 0.0030",
    ),
    "some restarts never fitted": (
        {"gd": descent(0.0187, converged=20)},
        "0.0030 for the posterior), in the 20 of 64 restarts that fitted, does about as well",
    ),
    "fewer restarts fit at the end": (
        {"gd": descent(0.0187, converged=20) | {"converged": 9}},
        "At its end (training loss 4.0e-08) it has 1.0e-06 [9.0e-07, 1.1e-06], in the 9 of 64 restarts that fitted.",
    ),
    "some restarts never fitted, and no draw did": (
        {"posterior": None, "outcome": "stalled", "gd": descent(0.1, converged=20)},
        ". Gradient descent fits in 20 of 64 restarts, with L_gen",
    ),
    "descent equal": (
        {"gd": descent(0.0187)},
        "about as well, at a median of 0.0187 [0.017, 0.021] against 0.0187 [0.015, 0.022]: fitting alone explains it",
    ),
    "descent equal, of another rank": (
        {"posterior": law(0.0187, 0.0004) | matrices(1.5, 1.2), "gd": of_rank(1.0, 1.1)},
        "about as well, at a median of 0.0187 [0.017, 0.021] against 0.0187 [0.015, 0.022]: fitting alone explains "
        "the loss, but not an effective rank of 1.00, "
        "lower than in 95 % of the draws. At its end",
    ),
    "descent equal, of another rank and norm": (
        {"posterior": law(0.0187, 0.0004) | matrices(1.5, 1.2), "gd": of_rank(1.0, 0.9)},
        "but not an effective rank of 1.00 and a nuclear norm of 0.900, lower than in 95 % of the draws. At its end",
    ),
    "descent equal, of another rank, and of norms that are those of scales": (
        {
            "posterior": law(0.0187, 0.0004) | matrices(1.5, 1.2),
            "gd": of_rank(1.0, 0.9),
            "model": {"normalize": True},
        },
        "fitting alone explains the loss, but not an effective rank of 1.00, lower than in 95 % of the draws. At its",
    ),
    "descent equal, one lower and one higher": (
        {"posterior": law(0.0187, 0.0004) | matrices(1.5, 1.2), "gd": of_rank(1.0, 1.5)},
        "an effective rank of 1.00, lower than in 95 % of the draws and a nuclear norm of 1.50, higher than in 95 % of",
    ),
    "descent equal, and of a rank as they have": (
        {"posterior": law(0.0187, 0.0004) | matrices(1.5, 1.2), "gd": of_rank(1.3, 1.2)},
        "about as well, at a median of 0.0187 [0.017, 0.021] against 0.0187 [0.015, 0.022]: fitting alone explains "
        "it. At its end",
    ),
    "descent worse": (
        {"gd": descent(0.05)},
        "does worse, at a median of 0.0500 [0.045, 0.055] against 0.0187 [0.015, 0.022]: the search",
    ),
    "a tighter fit alone is no better": (
        {"gd": descent(0.0187, end=1e-9)},
        "about as well, at a median of 0.0187 [0.017, 0.021] against 0.0187 [0.015, 0.022]: fitting alone explains "
        "it. At its end (training loss 4.0e-08)",
    ),
    "a worse descent that goes on": ({"gd": descent(0.05, end=1e-9)}, "the search does not help here. At its end"),
    "exact fits": (
        {"eps": 0.0, "gd": descent(0.05, end=0.0187) | {"at_eps": None}},
        "Gradient descent, at its end (training loss 4.0e-08), does about as well, at a median of 0.0187",
    ),
    "only on its way below ε": (
        {"gd": part(0.1, 64, 0, 1.0) | {"at_eps": part(0.0187, 64, 3, 0.0034)}},
        "No restart is still below ε at its end",
    ),
    "only on its way below ε, where it was stopped": (
        {"gd": part(0.1, 64, 0, 1.0) | stopped(64, 0) | {"at_eps": part(0.0187, 64, 3, 0.0034)}},
        "No restart is still below ε when it was stopped",
    ),
    "ε not recorded": (
        {"gd": part(1e-6, 64, 64, 4e-8) | {"at_eps": None}},
        "Gradient descent ends at 1.0e-06 [9.0e-07, 1.1e-06], with a training loss of 4.0e-08, and is not known where "
        "it first passed ε, so it cannot be compared at equal fit.",
    ),
    "one restart inside the interval": (
        {"gd": descent(0.012, restarts=1)},
        "does neither clearly better nor clearly worse, at a median of 0.0120 [0.011, 0.013] against 0.0187 [0.015, "
        "0.022]: whether fitting alone explains it is",
    ),
    "restarts too few to tell": (
        {"gd": descent(0.0175, restarts=4)},
        "does neither clearly better nor clearly worse, at a median of 0.0175 [0.016, 0.019] against 0.0187 [0.015, "
        "0.022]: whether fitting alone explains it is",
    ),
    "one restart outside the interval": ({"gd": descent(0.001, restarts=1)}, "does better still"),
    "within error of the prior": ({"posterior": law(0.0941, 0.01)}, "no better than the prior, within error"),
    "error unknown": (
        {"posterior": law(0.0187, None)},
        "no better than the prior, within error (mean L_gen 0.0187 ± ?",
    ),
    "worse than the prior": ({"posterior": law(0.2, 0.01)}, "worse than the prior"),
    "worse than zero": ({"posterior": law(0.06, 0.001)}, "but worse than predicting zero"),
    "as zero": ({"posterior": law(0.041, 0.001)}, "and about as well as predicting zero"),
    "descent alone learns": ({"posterior": law(0.0941, 0.01)}, "does better, at a median of 0.00110"),
    "not converged": ({"outcome": "exhausted"}, "Provisional, as the run has not converged (exhausted): weights that"),
    "nothing accepted": (
        {"posterior": None, "outcome": "exhausted"},
        "No draw reached ε = 0.0035 (fewer than one in 160 000 does, at 95 % confidence), so nothing is known of "
        "weights that merely fit. Gradient descent fits, with L_gen 0.00110 [0.00099, 0.0012] at a training loss of "
        "0.0034. At its end (training loss 4.0e-08) it has 1.0e-06 [9.0e-07, 1.1e-06].",
    ),
    "nothing drawn": (
        {
            "posterior": None,
            "outcome": "exhausted",
            "gd": None,
            "log_volume": {"ci95": [None, 0.0]},
            "diagnostics": {"evaluations": 9, "draws": 0},
        },
        "Nothing was drawn, so nothing is known of weights that fit to ε = 0.0035.",
    ),
    "nothing known of the volume": (
        {"posterior": None, "outcome": "interrupted", "gd": None, "log_volume": {"ci95": [None, 0.0]}},
        "No draw reached ε = 0.0035, so nothing is known",
    ),
    "a threshold above ε reached": (
        {
            "posterior": None,
            "outcome": "exhausted",
            "gd": None,
            "reached": {"eps": 0.01, "posterior": law(0.03, 0.001)},
        },
        "No draw reached ε = 0.0035 (fewer than one in 160 000 does, at 95 % confidence); in place of weights that "
        "fit, those that came nearest (L_train < 0.01) are given, with L_gen 0.0300 ± 0.0010.",
    ),
    "a threshold above ε reached, of a table": (
        {
            "posterior": None,
            "outcome": "exhausted",
            "gd": None,
            "reached": {"eps": 0.01, "posterior": {"gen_loss": None}},
        },
        "in place of weights that fit, those that came nearest (L_train < 0.01) are given.",
    ),
    "infeasible": ({"posterior": None, "outcome": "infeasible", "gd": None}, "No matrix that this model can produce"),
    "nothing accepted by either": (
        {"posterior": None, "outcome": "stalled", "gd": descent(0.1, converged=0)},
        "No restart of gradient descent fitted either.",
    ),
    "nothing held out": ({"posterior": {"gen_loss": None}, "task": {"held_out": 0}}, "nothing is held out"),
    "truth unknown": ({"posterior": {"gen_loss": None}}, "The truth is unknown"),
}


@pytest.mark.parametrize("branch", BRANCHES)
def test_the_sentence_says_what_the_numbers_do(branch: str) -> None:
    changes, expected = BRANCHES[branch]
    sentence = verdict(result(**changes))
    assert expected in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize(("islands", "words"), [(3, "no better than the prior"), (16, "better than the prior")])
def test_an_error_from_few_islands_is_that_of_students_t(islands: int, words: str) -> None:
    """Logarithms three standard errors apart: t(2) asks for 4.3 of them, t(15) for 2.1."""
    ours, prior = law(0.07, 0.0035), law(0.07 * math.exp(3 * 0.05), 1e-5)
    sentence = verdict(result(posterior=ours, prior=prior, diagnostics={"islands": islands}))
    assert f"generalise {words}" in sentence


HEAVY = {"q50": 2.5, "q50_mcse": 0.03, "believable": False}


def test_a_mean_that_does_not_exist_is_replaced_by_a_median_for_both_laws() -> None:
    heavy = law(43.0, 21.0, **HEAVY)
    sentence = verdict(result(prior=heavy))
    assert "better than the prior (median L_gen 0.01870 ± 0.00040 against 2.500 ± 0.030; the prior's mean" in sentence
    assert "cannot be believed" in sentence
    assert "both means cannot be believed" in verdict(result(prior=heavy, posterior=heavy))
    infinite = heavy["gen_loss"] | {"mean": None, "mcse": None}
    assert "the posterior's mean cannot be believed" in verdict(
        result(posterior={"gen_loss": infinite, "train_loss": {"mean": 0.0025, "q50": 0.003}})
    )
    # The control: were it believed, its error would hide that fits are far better.
    trusted = law(43.0, 21.0, **HEAVY | {"believable": True})
    assert "cannot be believed" not in verdict(result(prior=trusted))


@pytest.mark.parametrize(("dtype", "apart", "words"), [
    ("float32", 1e-7, "and about as well as predicting zero"),
    ("float32", 1e-4, "and worse than predicting zero"),
    ("float64", 1e-7, "and worse than predicting zero"),
    ("float64", 1e-15, "and about as well as predicting zero"),
])  # fmt: skip
def test_what_rounding_leaves_is_no_difference(dtype: str, apart: float, words: str) -> None:
    """A prior of zeros has the zero matrix's loss but for rounding, and no error."""
    zeros = law(0.0407 * (1 + apart), 0.0)
    sentence = verdict(result(dtype=dtype, prior=zeros, posterior=zeros, gd=None))
    assert f"no better than the prior, within error (mean L_gen 0.0407 against 0.0407) {words}" in sentence


def test_losses_that_are_zero_but_for_rounding_do_not_differ() -> None:
    """Residuals are rounded relative to what is measured: losses of 1e-15 and 3e-14 of it are both zero."""
    both = result(prior=law(0.0407e-15, 0.0), posterior=law(0.0407 * 3e-14, 0.0), gd=None)
    assert "no better than the prior" in verdict(both)
    assert "worse than the prior" in verdict(both | {"dtype": "float64"})


@pytest.mark.parametrize(("median", "words"), [(0.0011, "does better still"), (0.06, "does about as well")])
def test_worse_than_zero_and_what_fitting_explains_are_one_thought(median: float, words: str) -> None:
    sentence = verdict(result(posterior=law(0.06, 0.001), gd=descent(median)))
    assert "but worse than predicting zero" in sentence
    assert words in sentence
    assert "explains" not in sentence
    assert "fitting alone leads away from the prior, but not as far as predicting zero. At its end" in sentence


def test_a_zero_baseline_that_is_unknown_is_not_spoken_of() -> None:
    for zero in (None, {"gen_loss": None, "train_loss": 0.1}):
        assert "zero" not in verdict(result(baselines={"zero": zero}))


BEYOND = (
    "does {0} than 95 % of the draws that fit, though not clearly {0} than their median, at {1}: whether {2} is not "
)
OPEN = ("fitting alone explains it", "searching helps")


@pytest.mark.parametrize(
    ("median", "error", "words", "title"),
    [
        (
            0.004,
            None,
            BEYOND.format("better", "a median of 0.00400 [0.0036, 0.0044] against 0.0187 [0.015, 0.022]", OPEN[1]),
            "does better than most draws",
        ),
        (
            0.004,
            0.01,
            BEYOND.format("better", "a median of 0.00400 [0.0036, 0.0044] against 0.0187 [0.015, 0.022]", OPEN[0]),
            "does better than most draws",
        ),
        (
            0.060,
            0.03,
            BEYOND.format("worse", "a median of 0.0600 [0.054, 0.066] against 0.0187 [0.015, 0.022]", OPEN[0]),
            "does worse than most draws",
        ),
        (
            0.012,
            0.01,
            "does neither clearly better nor clearly worse, at a median of 0.0120 [0.011, 0.013] against 0.0187 "
            "[0.015, 0.022]: whether fitting alone explains",
            "is not told apart",
        ),
        (
            0.004,
            0.0004,
            "does better still, at a median of 0.00400 [0.0036, 0.0044] against 0.0187 [0.015, 0.022]: fitting alone "
            "explains part of it.",
            "does better",
        ),
    ],
)
def test_descent_below_nearly_all_draws_is_never_said_to_do_as_well(
    median: float, error: float | None, words: str, title: str
) -> None:
    """By rank it is beyond nearly all, by means the two cannot be told apart: both are said."""
    given = result(posterior=law(0.0187, error), prior=law(9.0, 0.01), gd=descent(median))
    assert words in verdict(given)
    assert losses_title(given).endswith(f"gradient descent {title} at about the same fit")


@pytest.mark.parametrize(
    ("restarts", "low", "high", "error", "reason"),
    [
        (64, 0.0036, 0.0200, 0.0001, "its restarts differ too much to be sure"),
        (64, 0.0036, 0.0200, 0.01, "not clearly better than their median"),
        (3, 0.0036, 0.0120, 0.0001, "its restarts are too few to be sure"),
        (3, 0.0036, 0.0120, 0.01, "not clearly better than their median"),
        (4, 0.0036, 0.0120, 0.0001, None),
    ],
)
def test_why_descent_beyond_the_draws_is_not_clearly_better(
    restarts: int, low: float, high: float, error: float, reason: str | None
) -> None:
    """At a median of 0.004, where 90 % of the draws are between 0.0094 and 0.028."""
    gd = descent(0.004, restarts=restarts)
    for each in (gd, gd["at_eps"]):
        each["gen_loss"] = {"median": 0.004, "q25": low, "q75": high}
    sentence = verdict(result(posterior=law(0.0187, error), prior=law(9.0, 0.01), gd=gd))
    if reason is None:
        assert "does better still, at a median of 0.00400" in sentence
    else:
        assert f"does better than 95 % of the draws that fit, though {reason}, at a median of 0.00400" in sentence


@pytest.mark.parametrize(("error", "does"), [(0.002, "does neither clearly better"), (0.0002, "does better still")])
def test_a_mean_that_the_tail_has_raised_is_not_what_descent_is_held_against(error: float, does: str) -> None:
    """Medians a little apart, and a mean of the draws that is thrice their median."""
    skew = law(0.03, 0.0001, q25=0.0094, q50=0.0105, q75=0.02, q50_mcse=error, q05=0.005)
    gd = descent(0.0095)
    for each in (gd, gd["at_eps"]):
        each["gen_loss"] = {"median": 0.0095, "q25": 0.009, "q75": 0.010}
    sentence = verdict(result(posterior=skew, gd=gd))
    assert "better than the prior (mean L_gen 0.03000 ± 0.00010 against" in sentence
    assert does in sentence
    assert "at a median of 0.00950 [0.0090, 0.010] against 0.0105 [0.0094, 0.020]" in sentence


@pytest.mark.parametrize(("examples", "does"), [(100, "neither clearly better"), (1000, "does better still")])
def test_one_test_example_is_no_difference_between_medians(examples: int, does: str) -> None:
    measured = {"fit": "train_errors", "generalisation": "test_error"}

    def of_classes(part: dict[str, Any]) -> dict[str, Any]:
        return part | {"test_error": part["gen_loss"], "train_errors": part["train_loss"]}

    gd = descent(0.21)
    gd["gen_loss"] = gd["at_eps"]["gen_loss"] = {"median": 0.21, "q25": 0.21, "q75": 0.21}
    found = result(
        posterior=of_classes(law(0.215, 0.0001, q25=0.212, q75=0.24)),
        prior=of_classes(law(0.5, 0.0001)),
        gd=of_classes(gd) | {"at_eps": of_classes(gd["at_eps"])},
        measures=measured,
        eps=0.0,
        task={"examples": 10, "test_examples": examples, "held_out": 1},
        baselines={"majority": {"test_error": 0.5, "train_errors": 5.0}},
    )
    assert does in verdict(found)


@pytest.mark.parametrize(("shift", "share"), [(0.0, (0.6, 1.0)), (1.0, (0.0, 0.02))])
def test_restarts_that_are_draws_are_mostly_typical_and_those_a_spread_away_are_not(
    shift: float, share: tuple[float, float]
):
    rng, ours = np.random.default_rng(0), law(1.0, 0.01)
    ours["gen_loss"] |= {"q25": 1 - 0.674, "q75": 1 + 0.674, "q05": 1 - 1.645, "q95": 1 + 1.645}
    found = []
    for _ in range(400):
        low, middle, high = np.quantile(rng.normal(1 + shift, 1, size=32), [0.25, 0.5, 0.75])
        restarts = {"gen_loss": {"median": middle, "q25": low, "q75": high}, "converged": 32}
        found.append(descent_is_typical(result(posterior=ours), restarts))
    assert share[0] <= np.mean(found) <= share[1]


def test_whole_results_have_a_sentence() -> None:
    assert result_object(tree())["verdict"].startswith("Weights that merely fit generalise better than the prior")
    assert result_object(tree(table_task()))["verdict"] == (
        "How well missing cells are predicted is not known here, as no observed cell was hidden to tell. The 3 missing "
        "cells are given with 90 % intervals of the value as it would be measured. Note that only 9 cells are "
        "observed: predictions from so few say more of the prior than of the table."
    )
    assert "does better" not in result_object(tree(with_gd=False))["verdict"]


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.018731, 0.00041, "0.01873 ± 0.00041"),
        (12345.6, 78.0, "12346 ± 78"),
        (3.94e-8, 2.1e-9, "3.9e-08 ± 2e-09"),
        (1.2, 0.0, "1.20"),
        (1.2, None, "1.20 ± ?"),
        (None, None, "-"),
    ],
)
def test_a_value_has_the_digits_its_error_allows(value: float | None, error: float | None, text: str) -> None:
    assert with_error(value, error) == text


def test_plain_numbers_and_odds() -> None:
    assert [rounded(v) for v in (0.0407, 0.0, 123456.0, 4.4e-9, float("nan"), 0.99999)] == [
        "0.0407", "0", "123456", "4.4e-09", "-", "1.00"
    ]  # fmt: skip
    assert [one_in(v) for v in (-0.1, -13.52, -60.0)] == ["1.1", "740 000", "10^26.1"]
    assert [one_in_print(v) for v in (-0.1, -13.52, -47.3, -59.84)] == ["1.1", "740 000", "3·10²⁰", "1·10²⁶"]
