"""What is told of labelled examples: as of arrays, by the same sentences, tables and pictures."""

from __future__ import annotations

import io
import json
import math
import re
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
import xarray as xr
from labelled_for_tests import ISLANDS, TESTS, classes_task, descent, draws, labelled, numbers_task, run
from labelled_for_tests import configuration as configuration_of
from records_for_tests import table_task
from records_for_tests import tree as array_tree
from rich.console import Console

from bayesgc.analysis import plots
from bayesgc.analysis.certificate import error_of_guessing
from bayesgc.analysis.compare.compare import _short, compare, distinguishing_labels
from bayesgc.analysis.diagnose import diagnose
from bayesgc.analysis.ensemble import ensemble
from bayesgc.analysis.equal_fit import compared, compared_group
from bayesgc.analysis.measures import measures_in, measures_of
from bayesgc.analysis.plots.look import names_in
from bayesgc.analysis.plots.losses import losses_title
from bayesgc.analysis.report.rerun import rerun_command
from bayesgc.analysis.report.result import result_page
from bayesgc.analysis.tree.datatree import load, save
from bayesgc.analysis.tree.schema import schema
from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.words.legend import legend_line
from bayesgc.analysis.words.reliance import reliance
from bayesgc.analysis.words.verdict import verdict
from bayesgc.analysis.words.wording import headings, law_rows
from bayesgc.cli.render import print_result
from bayesgc.inference.records import Estimate, Outcome, Reached
from bayesgc.validate import InputError

KINDS: dict[str, Any] = {
    "errors": labelled,
    "some errors": lambda: labelled(eps=2.0),
    "cross-entropy": lambda: labelled(classes_task(fit="cross-entropy"), eps=0.3),
    "bin": lambda: labelled(classes_task(fit="cross-entropy").with_fit("cross-entropy", low=0.1, right=True), eps=0.3),
    "numbers": lambda: labelled(numbers_task(), eps=0.1),
    "no test set": lambda: labelled(classes_task(tested=False)),
    "nothing fitted": lambda: labelled(accepted=False, outcome=Outcome.EXHAUSTED),
    "no descent": lambda: labelled(with_gd=False),
    "descent fails": lambda: labelled(gd=descent(classes_task(), converged=0)),
}


@pytest.fixture(scope="module")
def trees() -> dict[str, xr.DataTree]:
    return {name: make() for name, make in KINDS.items()}


def text_of(result: dict[str, Any]) -> str:
    stream = io.StringIO()
    print_result(Console(file=stream, width=80), result)
    return stream.getvalue()


def words_of(result: dict[str, Any]) -> str:
    return " ".join(text_of(result).split())


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_prints_compares_and_is_checked_by_its_schema(trees, kind):
    result = result_object(trees[kind])
    jsonschema.validate(json.loads(json.dumps(result, allow_nan=False)), schema("result"))
    text = text_of(result)
    assert all(len(line) <= 80 for line in text.splitlines())
    for row in law_rows(result):
        assert len(row.cells) == len(headings(result))
    found = compare(trees[kind], trees["errors"])
    jsonschema.validate(json.loads(json.dumps(found.to_dict(), allow_nan=False)), schema("comparison"))
    assert found.to_dataset().sizes["result"] == 2
    assert str(found)
    jsonschema.validate(diagnose(trees[kind]).to_dict(), schema("diagnosis"))


def test_the_table_has_the_test_error_in_per_cent_beside_the_most_common_label(trees):
    result = result_object(trees["errors"])
    assert headings(result) == ("test error (%)", "× majority", "training errors")
    rows = {row.name.split("\n")[0]: row.cells for row in law_rows(result)}
    mean = result["posterior"]["test_error"]["mean"]
    assert float(rows["G&C posterior"][0].split(" ± ")[0]) == pytest.approx(100 * mean, abs=0.5)
    majority = result["baselines"]["majority"]["test_error"]
    assert rows["most common label"][:2] == (f"{100 * majority:.1f}", "1.0")
    middle = result["posterior"]["test_error"]["q50"]
    relative = [float(each) for each in rows["G&C posterior"][1].split("\n")]
    assert relative == pytest.approx([mean / majority, middle / majority], abs=0.005)
    # A number of errors that never varies has no error of its own, and no quartiles worth a line.
    assert rows["G&C posterior"][2] == rows["GD, at its first fit"][2] == "0"
    assert {"nearest neighbour", "logistic regression", "GD, at its end", "G&C, by vote"} <= set(rows)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            "errors",
            "classification, 10 examples of 4 features, classes 0 and 1, 50 test examples, fit judged by errors",
        ),
        ("errors", "mlp, width 16-8, relu, no biases"),
        ("errors", "splitting, at most 0 errors, seed 3"),
        ("some errors", "at most 2 errors"),
        ("cross-entropy", "ε = 0.3"),
        ("bin", "splitting, L_train in [0.1, 0.3), all labels right, seed 3"),
        ("bin", "fit judged by cross-entropy, all labels right"),
        ("bin", "With probability 95 % the mean test error of weights that fit is at most"),
        (
            "errors",
            "of the draws that fit have a lower test error than the median of gradient descent at its first",
        ),
        ("errors", "Shares of the vote are off by"),
        ("no test set", "no test set"),
        ("no test set", "There is no test set, so generalisation cannot be judged"),
        ("errors", "With probability 95 % the mean test error of weights that fit is at most"),
        ("cross-entropy", "No certificate: it is for the fit 'errors', or with all labels right"),
        ("nothing fitted", "No draw had at most 0 errors"),
        ("nothing fitted", "No certificate: nothing fitted"),
        ("errors", "GD: stochastic gradient descent, in batches of 2"),
        ("errors", "The vote of the draws that fit has a test error of"),
        ("descent fails", "No restart of gradient descent fitted (12 tried)"),
        ("numbers", "predicting the mean label"),
    ],
)
def test_what_is_said_of_each_kind(trees, kind, words):
    assert words in words_of(result_object(trees[kind]))


@pytest.mark.parametrize(("stopped", "words", "row"), [
    (12, "Trained on until it was stopped early, it does better than", "GD, stopped early"),
    (3, "Trained on to its end, but for 3 restarts that were stopped early, it does better than", "GD, at its end"),
    (0, "Trained on to its end, it does better than", "GD, at its end"),
])  # fmt: skip
def test_training_that_was_stopped_is_not_said_to_have_come_to_its_end(stopped, words, row, tmp_path):
    cut = replace(descent(classes_task()), cut=torch.arange(12) < stopped)
    tree = labelled(gd=cut, reasons={"gd": "`max_seconds=4` stopped it after 184 steps"} if stopped else {})
    result = result_object(load(save(tree, tmp_path / "cut.nc")))
    jsonschema.validate(json.loads(json.dumps(result, allow_nan=False)), schema("result"))
    assert result["gd"]["cut"] == {"restarts": stopped, "fitted": stopped}
    assert words in result["verdict"]
    assert row in [each.name.split("\n")[0] for each in law_rows(result)]
    warned = {check.name: check.advice for check in diagnose(tree).checks}.get(
        "restarts of gradient descent that were stopped early"
    )
    assert warned == ("Where they are is not the end of their search: raise `max_seconds`." if stopped else None)
    assert ("Of a it was stopped early." in " ".join(str(compare(tree, labels=["a"])).split())) is (stopped > 6)
    page = result_page(tree, tmp_path / "cut.nc")
    captions = " ".join(table.caption for section in page.sections for table in section.tables)
    assert ("stopped it after 184 steps" in captions) is bool(stopped)
    assert names_in(tree)["gd"] == row


@pytest.mark.parametrize(("eps", "passes"), [(3.0, False), (4.0, True)])
def test_where_the_most_common_label_fits_too_fitting_explains_nothing(eps, passes):
    """Of ten examples four are of the rarer class, which are its errors."""
    tree = labelled(eps=eps)
    result, found = result_object(tree), diagnose(tree)
    assert result["baselines"]["majority"]["train_errors"] == 4.0
    said = "Guessing the most common label already has at most 4 errors, so a fit asks for next to nothing here"
    assert (said in result["verdict"]) is passes
    assert ("Gradient descent is not compared. Trained on to its end, it has" in result["verdict"]) is passes
    assert ("fitting alone explains it" in result["verdict"]) is not passes
    assert ("guessing the most common label fits too" in losses_title(result)) is passes
    assert found.healthy
    assert found.passed_by == ("guessing the most common label" if passes else None)
    jsonschema.validate(found.to_dict(), schema("diagnosis"))
    explains = "Its numbers can be relied on, but explain nothing, as guessing the most common label fits too; mind:"
    assert reliance(found).startswith(explains) is passes
    [check] = [check for check in found.checks if check.name == "training errors of the most common label"]
    assert (check.found, check.limit) == (4.0, f"≥ {eps + 1:.3g}")


def test_starts_that_fit_are_counted():
    task = classes_task(fit="cross-entropy")
    moved = descent(task)
    began = replace(moved, at_eps=replace(moved.at_eps, steps=torch.where(torch.arange(12) < 7, 0, 5)))
    some, most = (labelled(task, eps=0.3, gd=each) for each in (moved, began))
    assert [result_object(each)["gd"]["at_eps"]["at_start"] for each in (some, most)] == [0, 7]
    assert [diagnose(each).passed_by for each in (some, most)] == [None, "gradient descent at its start"]
    warned = [check.found for check in diagnose(most).checks if check.name.endswith("fit at their start")]
    assert warned == [pytest.approx(7 / 12)]


def short_of(eps: float) -> dict[str, Any]:
    """A result that came as far as a threshold above no error."""
    missed = run(classes_task(), None, 0.0, Outcome.EXHAUSTED, None)
    law = draws(classes_task(), 1.0, 1.0, 11)
    return result_object(labelled(run=replace(missed, reached=Reached(eps, law, Estimate(-2.2, 0.1, (-2.4, -2.0))))))


def test_a_threshold_between_numbers_of_errors_is_one_on_their_soft_score():
    """Below 5.1493 are draws with six errors too, whose margins are wrong by less than 14.93 %."""
    soft = words_of(short_of(5.1493))
    assert "those that came nearest (errors − 1 + violation < 5.149) are given, with" in soft
    assert "log P(errors − 1 + violation < 5.149) = -2.20 ± 0.10" in soft
    assert "violation: of all margins the share that is on the wrong side" in soft
    assert "5.149 errors" not in soft.replace("5.1493", "5.149")
    # The control: below 5 are the draws with at most as many errors.
    whole = words_of(short_of(5.0))
    assert "those that came nearest (at most 5 errors) are given, with" in whole
    assert "violation" not in whole


@pytest.mark.parametrize(("low", "said"), [(-0.1, False), (-5.0, True)])
def test_a_bound_that_guessing_reaches_is_called_vacuous(low, said):
    """Ten examples and log P(fit) ≥ -0.1: 1 - exp(-(0.1 + ln(2√10 / 0.05)) / 10) = 39 %; -5 gives 63 %."""
    result = labelled()
    result.attrs["log_volume_low"] = low
    found = result_object(result)
    jsonschema.validate(json.loads(json.dumps(found, allow_nan=False)), schema("result"))
    assert found["certificate"]["bound"] == pytest.approx(1 - math.exp((low - math.log(2 * math.sqrt(10) / 0.05)) / 10))
    assert (found["certificate"]["guessing"], found["certificate"]["vacuous"]) == (pytest.approx(0.46), said)
    assert ("which is vacuous, as guessing errs at 46 %; it holds if" in words_of(found)) is said


def test_without_a_test_set_guessing_is_a_class_at_random():
    found = {"task": {"classes": ["a", "b", "c", "d"]}, "baselines": {}}
    assert error_of_guessing(found) == 0.75
    assert error_of_guessing(found | {"baselines": {"majority": {"test_error": 0.6}}}) == 0.6
    assert error_of_guessing(found | {"baselines": {"majority": {"test_error": None}}}) == 0.75


def test_the_sentence_compares_at_the_first_fit_and_says_what_training_on_adds():
    sentence = result_object(labelled())["verdict"]
    for words in (
        "better than the prior (mean test error",
        "better than guessing the most common label (46.0 %)",
        "Gradient descent, where it first fits, does neither clearly better nor clearly worse",
        "whether fitting alone explains it is not decided. Trained on to its end, it does better than weights that",
        "which fitting alone does not explain",
    ):
        assert words in sentence
    vote = result_object(labelled())["ensemble"]
    assert f"(46.0 %); their vote has a test error of {100 * vote['test_error']:.1f}" in sentence
    # The control: a descent that is better from its first fit on, and one that gains nothing.
    task = classes_task()
    better = result_object(labelled(gd=descent(task, first=0.2)))["verdict"]
    assert "does better still" in better
    assert "fitting alone explains part of it" in better
    still = result_object(labelled(gd=descent(task, first=1.0, end=1.0)))["verdict"]
    assert "Trained on to its end, it does neither clearly better nor clearly worse than weights that merely" in still


def test_how_far_the_choice_of_test_examples_moves_a_test_error_is_told():
    result = result_object(labelled())
    error = result["posterior"]["test_error"]["mean"]
    spread = 100 * math.sqrt(error * (1 - error) / 50)
    said = f"all on the same 50 test examples, whose choice moves the test error of one network by ± {spread:.0f} %"
    assert said in legend_line(result)
    assert "test examples, whose" not in legend_line(result | {"task": result["task"] | {"test_examples": 0}})


@pytest.mark.parametrize(
    ("apart", "error", "words"),
    [
        (0.0, 0.0, ". The vote of those that merely fit does as well."),
        (1e-8, 0.0, ". The vote of those that merely fit does as well."),  # rounding of single precision
        (0.018, 0.01, ". The vote of those that merely fit does as well."),
        (-0.018, 0.01, ". The vote of those that merely fit does as well."),
        (-0.03, 0.01, ". The vote of those that merely fit does as well."),  # one of the fifty test examples
        (-0.05, 0.01, ". The vote of those that merely fit does better."),
        (0.05, 0.01, "."),
        (0.0, None, "."),
    ],
)
def test_the_vote_is_compared_with_the_end_of_descent_by_its_error(apart, error, words):
    """Quartiles are the spread of descent, and say nothing of how well the vote is known."""
    result = result_object(labelled())
    result["gd"]["test_error"] |= {"q25": 0.0, "q75": 1.0}
    result["diagnostics"] = {"islands": 200}
    result["ensemble"] = {"test_error": result["gd"]["test_error"]["median"] + apart, "mcse": error}
    # So that descent is better in spite of these, and not at its first fit already.
    result["posterior"]["test_error"] |= {"q50": 2.0}
    result["gd"]["at_eps"]["test_error"] |= {"median": 2.0, "q25": 1.9, "q75": 2.1}
    assert verdict(result).endswith(f"which fitting alone does not explain{words}")
    assert "though their vote" not in verdict(result | {"ensemble": None})


def test_no_error_has_volume_and_so_descent_is_compared_where_it_first_fits(trees):
    result = result_object(trees["errors"])
    assert not measures_of(result).exact(0.0)
    assert measures_in(trees["errors"]).counted
    assert compared(result) == result["gd"]["at_eps"]
    assert compared_group(trees["errors"]) == "gd_at_eps"
    assert "gd_at_eps" not in result["reasons"]


def test_the_probability_to_be_better_than_the_prior_counts_ties_half(trees):
    tree = trees["errors"]
    ours, theirs = (tree[law]["test_error"].values.ravel() for law in ("posterior", "prior"))
    exact = np.mean((ours[:, None] < theirs) + 0.5 * (ours[:, None] == theirs))
    assert result_object(tree)["better_than_prior"]["estimate"] == pytest.approx(exact)


def voters(
    right: float, *, shared: float, seed: int = 0, method: str = "splitting", particles: int = 40
) -> xr.DataTree:
    """Draws of which each test example gets its label with a chance about ``right``, alike on each island."""
    particles, source = 40, np.random.default_rng(seed)
    common = shared * source.normal(size=(ISLANDS, 1, TESTS))
    chance = np.clip(right + common, 0, 1)
    labels = source.integers(0, 2, TESTS)
    says = source.uniform(size=(ISLANDS, particles, TESTS)) < chance
    dims = ("chain", "draw", "test_example")
    index = np.repeat(np.arange(ISLANDS), particles).reshape(ISLANDS, particles)
    groups = {
        "posterior": xr.Dataset({"prediction": (dims, np.where(says, labels, 1 - labels).astype(np.float32))}),
        "constant_data": xr.Dataset({"y_test": ("test_example", labels)}),
        "sample_stats": xr.Dataset({
            "island": (dims[:2], index), "island_log_volume": (dims[:2], np.zeros(index.shape)),
        }),
    }  # fmt: skip
    if method != "splitting":
        del groups["sample_stats"]
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {"method": method, "diagnostics": json.dumps({"islands": ISLANDS})}
    return tree


def test_the_vote_is_that_of_most_draws():
    tree = voters(0.55, shared=0.0)
    prediction, labels = tree["posterior"]["prediction"].values, tree["constant_data"]["y_test"].values
    wrong = [
        np.bincount(prediction[..., place].ravel().astype(int), minlength=2).argmax() != labels[place]
        for place in range(TESTS)
    ]
    assert ensemble(tree)["test_error"] == pytest.approx(np.mean(wrong))
    assert ensemble(tree)["test_error"] < np.mean(prediction != labels)


def test_the_error_of_the_vote_is_the_spread_that_is_seen_over_islands():
    """Over 60 seeds, with a spread known to 9 %; a bootstrap over eight islands is rough, so a quarter is allowed.

    The control: the same draws taken as independent have too small an error, once they are shuffled.
    """
    trees = [voters(0.5, shared=0.15, seed=seed) for seed in range(60)]
    found = [ensemble(tree) for tree in trees]
    spread = np.std([each["test_error"] for each in found], ddof=1)
    assert np.median([each["mcse"] for each in found]) == pytest.approx(spread, rel=0.25)
    alone = [voters(0.5, shared=0.15, seed=seed, method="rejection") for seed in range(10)]
    for tree in alone:
        draws = tree["posterior"]["prediction"].values
        np.random.default_rng(0).shuffle(draws.reshape(-1, draws.shape[-1]))
    assert np.median([ensemble(tree)["mcse"] for tree in alone]) < 0.7 * spread


def test_a_vote_without_islands_enough_has_no_error_and_of_numbers_there_is_none(trees):
    tree = voters(0.6, shared=0.0)
    tree["sample_stats"]["island_log_volume"].values[1:] = -50.0
    assert ensemble(tree)["mcse"] is None
    assert result_object(trees["numbers"])["ensemble"] is None
    assert result_object(trees["no test set"])["ensemble"] is None
    assert result_object(trees["nothing fitted"])["ensemble"] is None


def test_comparison_is_by_the_test_error_and_leaves_out_what_matrices_have(trees):
    found = compare(trees["errors"], labelled(seed=5))
    entry = found.results[0]
    assert set(entry["standing"]["gd"]) == {"test_error"}
    assert entry["measures"]["generalisation"] == "test_error"
    assert found.differences[0]["test_error"]["difference"] == pytest.approx(0.0)
    assert found.differences[0]["factor"]["estimate"] == pytest.approx(1.0)
    assert found.differences[0]["distance"]["test_error"]["kl"] is None
    assert found.differences[0]["same_task"]
    text = str(found)
    assert "test error (%)" in text
    assert "σ₂/σ₁" not in text
    assert "nuc. norm" not in text
    # The control: other labels to test on make another task, and losses of two kinds have no ratio.
    other = compare(trees["errors"], trees["no test set"], trees["numbers"]).differences
    assert not other[0]["same_task"]
    assert other[1]["factor"] is None


def test_results_of_two_kinds_are_not_compared_and_tables_that_say_nothing_are_left_out(trees):
    text = " ".join(str(compare(array_tree(), trees["errors"], labels=["a", "b"])).split())
    assert "Results of two kinds, of which none is compared with one of another kind" in text
    assert "* arrays judged by their generalisation loss: a * labelled examples judged by their test error: b" in text
    assert "no known generalisation" not in text
    # Each kind has tables of its own, in which no cell is empty for being of another kind.
    assert "L_gen prior G&C posterior GD, at equal fit" in text
    assert "test error (%) prior G&C posterior GD, at equal fit" in text
    assert "difference" not in text.replace("For differences give", "")
    both = " ".join(str(compare(array_tree(), trees["errors"], array_tree(seed=9), labels=["a", "b", "c"])).split())
    assert "c − a" in both
    assert "b − a" not in both
    assert "kinds" not in str(compare(array_tree(), array_tree(seed=9)))
    cells = array_tree(table_task(), with_gd=False)
    for name in ("log_volume", "log_volume_mcse"):
        del cells.attrs[name]
    text = str(compare(cells, cells, labels=["a", "b"]))
    assert "rarity" not in text
    assert "difference" not in text
    assert "mechanisms" in text


def test_labels_say_how_many_examples_and_outputs_there_are():
    settings = configuration_of(classes_task())
    task = settings["task"]
    other = settings | {"task": task | {"shape": [20, 1]}}
    pair = [labelled(configuration=each) for each in (settings, other)]
    assert distinguishing_labels(pair) == ["10 examples, 2 outputs", "20 examples, 1 output"]


def test_lists_in_labels_are_written_as_what_they_are():
    assert _short("shape", [5, 4]) == "5×4"
    assert _short("width", [20, 10, 5]) == "20-10-5"
    assert _short("classes", ["0", "7"]) == "0/7"
    assert _short("width", 20) == "20"


def test_fit_and_test_error_depend_where_they_do():
    (independent,) = compare(labelled()).results
    assert abs(independent["dependence"]["spearman"]) < 4 * independent["dependence"]["spearman_mcse"]
    tree = labelled()
    tree["prior"]["test_error"].values[:] = tree["prior"]["train_errors"].values / 10
    (dependent,) = compare(tree).results
    assert dependent["dependence"]["spearman"] == pytest.approx(1.0)


UNSUITED = {
    ("no test set", plots.plot_joint): "a known test_error",
    ("no test set", plots.plot_forest): "draws whose 'test_error' is known",
    ("nothing fitted", plots.plot_levels): "a method that climbs levels",
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_picture_of_every_kind_is_drawn(trees, kind, tmp_path):
    plots.save_figure(plots.plot_result(trees[kind]), tmp_path / "result.png")
    for draw in (plots.plot_joint, plots.plot_levels, plots.plot_forest):
        if (kind, draw) in UNSUITED:
            with pytest.raises(InputError, match=f"{draw.__name__} needs {UNSUITED[kind, draw]}"):
                draw(trees[kind])
        else:
            plots.save_figure(draw(trees[kind]), tmp_path / f"{draw.__name__}.png")
    with pytest.raises(InputError, match="plot_spectrum needs a matrix, which has singular values"):
        plots.plot_spectrum(trees[kind])


def test_the_picture_of_errors_has_linear_axes_in_per_cent_and_the_curve_over_errors(trees):
    left, strip, volume, top = plots.plot_result(trees["errors"]).axes
    assert left.get_xscale() == "linear"
    assert "test error (%)" in strip.get_xlabel()
    assert volume.get_xlabel() == "training errors allowed"
    (line, *_) = [each for each in top.lines if each.get_label() == "G&C posterior"]
    np.testing.assert_allclose(line.get_ydata()[::-1], 100 * (0.2 + 0.03 * np.arange(10)))
    assert top.get_title(loc="left") == "The fewer training errors,\nthe better it generalises"
    # The control: a curve turned over.
    turned = plots.plot_curve(labelled(better=False)).axes[1]
    assert turned.get_title(loc="left") == "The fewer training errors,\nthe worse it generalises"


def test_histograms_hold_all_draws_in_bins_of_whole_numbers(trees):
    from bayesgc.analysis.measures import MEASURES
    from bayesgc.analysis.plots.losses import density_of

    for name, spacing in (("test_error", 100 / TESTS), ("train_errors", 1.0)):
        heights, edges = density_of(trees["errors"], "prior", MEASURES[name])
        assert np.sum(heights * np.diff(edges)) == pytest.approx(1.0)
        assert np.allclose(np.diff(edges) % spacing, 0) or np.allclose(np.diff(edges), spacing)


def test_the_report_tells_all_of_it_and_how_to_run_it_again(trees, tmp_path):
    file = save(labelled(classes_task(description={"file": "digits.npz"})), tmp_path / "run.nc")
    page = result_page(load(file), file)
    titles = [picture.title for section in page.sections for picture in section.pictures]
    assert any("The fewer training errors, the better it generalises" in title for title in titles)
    assert {"Certificate", "The Bayes ensemble"} <= set(dict(page.facts))
    for kind in ("cross-entropy", "numbers", "no test set", "nothing fitted"):
        assert result_page(trees[kind], tmp_path / "run.nc").sections


def test_the_command_that_runs_it_again_names_what_labelled_examples_have():
    task = classes_task(description={"file": "digits.npz"})
    changed = {"gd": {"optimizer": "gd", "batch": 2, "epochs": 60}, "eps": 0.0, "method": json.loads(_splitting())}
    configuration = configuration_of(task) | changed
    command = rerun_command(labelled(task, configuration=configuration))
    assert command is not None
    for words in ("--data digits.npz", "--fit errors", "--family mlp", "--width 16,8", "--no-bias", "--gd-epochs 60"):
        assert words in command
    within = classes_task(description={"file": "digits.npz"}).with_fit("margin", low=0.2, right=True)
    protocol = {"optimizer": "gd", "batch": 2, "protocol": "chiang"}
    own = configuration | {"task": within.facts, "gd": protocol, "eps": 0.3}
    command = rerun_command(labelled(within, configuration=own, eps=0.3))
    for words in ("--fit margin", "--eps-low 0.2", "--right", "--eps 0.3", "--gd-protocol chiang"):
        assert words in command
    alone = configuration | {"gd": {"batch": None}}
    assert rerun_command(labelled(task, configuration=alone)) is None


@pytest.mark.parametrize("choice", [
    {"classes": "0,7", "train": 12, "test": 40, "task_seed": 3}, {"balanced": True, "train": 20, "standardize": True},
    {"classes": "0,7", "train": 9, "test": 20, "fit": "margin", "eps_low": 0.1, "right": True, "eps": 0.3},
])  # fmt: skip
def test_the_command_of_a_named_set_makes_the_same_task_again(choice):
    import shlex

    from bayesgc.options import Options

    def task_of(given):
        return Options.checked({"task": "digits", "gd": False} | given).make_task()

    task = task_of(choice)
    changed = {"task": task.facts, "gd": None, "eps": choice.get("eps", 0.0), "method": json.loads(_splitting())}
    command = rerun_command(labelled(classes_task(), configuration=configuration_of(classes_task()) | changed))
    words, given = shlex.split(command), {}
    for name in Options.names("Task") & {word[2:].replace("-", "_") for word in words}:
        kind = Options.model_fields[name].annotation
        at = words.index(f"--{name.replace('_', '-')}")
        given[name] = True if kind is bool else words[at + 1]
    numbers = {name: (float if name == "eps_low" else int)(given[name]) for name in _NUMBERS & given.keys()}
    again = task_of(given | numbers)
    assert again.facts == task.facts
    np.testing.assert_array_equal(again.inputs.train, task.inputs.train)
    np.testing.assert_array_equal(again.test_labels, task.test_labels)


_NUMBERS = {"train", "test", "task_seed", "eps_low"}


def _splitting() -> str:
    from bayesgc.analysis.tree.strict import to_json
    from bayesgc.inference import method_named
    from bayesgc.inference.methods import hyperparameters

    return to_json(hyperparameters(method_named("splitting")))


def test_no_sentence_holds_more_than_one_comparison_with_its_reason():
    """Of descent at its first fit, of its end, and of the vote, each has a sentence of its own."""
    result = result_object(labelled())
    sentences = re.split(r"(?<=[^ε])\. (?=[A-Z])", result["verdict"])
    assert len(sentences) >= 3
    assert all(len(re.findall(r"\bdoes (?:better|worse|about as well)", each)) <= 1 for each in sentences)
    assert not any(";" in each for each in sentences if "Gradient descent" in each)
