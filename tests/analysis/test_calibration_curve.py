"""Whether an ensemble knows what it does not know, how safe its fits are, and which functions descent finds."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from labelled_for_tests import labelled

from bayesgc.analysis import plots
from bayesgc.analysis.calibration import BINS, _calibration, calibration
from bayesgc.analysis.ensemble import Votes, _counted
from bayesgc.analysis.functions import functions
from bayesgc.analysis.margins import margins, normalised
from bayesgc.analysis.report.result import result_page
from bayesgc.inference import Criterion, Rejection
from bayesgc.inference.control import Control
from bayesgc.inference.request import Request
from bayesgc.models import MLP
from bayesgc.task import teacher
from bayesgc.validate import InputError

ISLANDS, PARTICLES, TESTS = 10, 40, 400


def voting(shares: np.ndarray, labels: np.ndarray, seed: int = 0) -> xr.DataTree:
    """Draws on islands of which a share gives each test example a class: shares are (test, class)."""
    source, dims = np.random.default_rng(seed), ("chain", "draw", "test_example")
    said = (source.uniform(size=(ISLANDS, PARTICLES, len(labels), 1)) > shares.cumsum(-1)[:, :-1]).sum(-1)
    index = np.repeat(np.arange(ISLANDS), PARTICLES).reshape(ISLANDS, PARTICLES)
    tree = xr.DataTree.from_dict({
        "posterior": xr.Dataset({"prediction": (dims, said.astype(np.float32))}),
        "constant_data": xr.Dataset({"y_test": ("test_example", labels)}),
        "sample_stats": xr.Dataset({"island": (dims[:2], index), "island_log_volume": (dims[:2], 0.0 * index)}),
    })  # fmt: skip
    tree.attrs = {"method": "splitting", "diagnostics": json.dumps({"islands": ISLANDS})}
    return tree


def drawn(classes: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Shares of all sizes, and labels drawn from them."""
    source = np.random.default_rng(seed)
    shares = source.dirichlet(np.full(classes, 0.7), size=TESTS)
    return shares, (source.uniform(size=(TESTS, 1)) > shares.cumsum(-1)[:, :-1]).sum(-1)


@pytest.mark.parametrize("classes", [2, 5])
def test_labels_drawn_from_the_shares_are_calibrated_and_shuffled_ones_are_not(classes):
    shares, labels = drawn(classes)
    found = calibration(voting(shares, labels))["posterior"]
    # The votes' own noise adds to the error by chance: its share is known to √(¼/400), 0.025.
    assert found["ece"] < found["ece_by_chance_q95"] + 0.01
    exact = -np.log(shares[np.arange(TESTS), labels]).mean()
    assert found["log_score"] == pytest.approx(exact, abs=0.05)
    shuffled = calibration(voting(shares, np.random.default_rng(1).permutation(labels)))["posterior"]
    assert shuffled["ece"] > 2 * shuffled["ece_by_chance_q95"]
    assert shuffled["log_score"] > 1.5 * found["log_score"]
    assert shuffled["confidence"] > shuffled["accuracy"] + 0.1


def test_the_curve_holds_every_pair_once_and_its_errors_are_those_of_islands_and_of_test_examples():
    shares, labels = drawn(3)
    bins = calibration(voting(shares, labels))["posterior"]["bins"]
    assert sum(each["count"] for each in bins) == 3 * TESTS
    assert len(bins) == BINS
    for each in bins:
        error = np.sqrt(each["share"] * (1 - each["share"]) / each["count"])
        assert abs(each["share"] - each["frequency"]) < 3.5 * error
        assert each["frequency_se"] == pytest.approx(error, rel=0.5)
    # The spread of the shares over seeds is what the bootstrap says, to a third with ten islands.
    many = [calibration(voting(shares, labels, seed))["posterior"] for seed in range(30)]
    spread = np.std([each["log_score"] for each in many], ddof=1)
    assert np.median([each["log_score_mcse"] for each in many]) == pytest.approx(spread, rel=0.4)


def test_results_have_it_for_prior_posterior_and_descent():
    tree = labelled()
    found = calibration(tree)
    assert all(found[name] is not None for name in ("prior", "posterior", "gd"))
    assert found["gd"]["bins"][0]["share_mcse"] is not None
    # The prior's votes are halves, worth nothing: log 2.
    assert found["prior"]["log_score"] == pytest.approx(np.log(2), abs=0.05)
    few = labelled()
    few["gd_at_eps"]["converged"].values[5:] = 0
    assert calibration(few)["gd"] is None


# --- a teacher --------------------------------------------------------------------------------------------------------


def teachers(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Shares of small nets that fit eight labels of teachers from their own prior, and the test labels."""
    model, found = MLP((4,), "tanh"), []
    for seed in range(count):
        task = teacher(network=model, features=3, train=8, test=60, seed=seed)
        criterion = Criterion(task, model.whiten(task.domain), 0.0, torch.device("cpu"), torch.float32)
        run = Rejection().run(criterion, Request(seed=seed, precision=0.2, draws=200), Control())
        said = run.posterior.quantities["prediction"].numpy().reshape(-1, 60)
        found.append((said.mean(0), task.test_labels))
    return found


def z_of_confidence(found) -> float:
    """How far labels are from what the shares say, in standard errors over teachers, whose labels go together."""
    gaps = np.array([(np.maximum(share, 1 - share) - ((share > 0.5) == labels)).mean() for share, labels in found])
    return float(gaps.mean() / (gaps.std(ddof=1) / np.sqrt(len(gaps))))


def test_a_teacher_from_the_prior_is_calibrated_on_average_and_shuffled_labels_are_not(unchecked):
    found, source = teachers(24), np.random.default_rng(0)
    assert abs(z_of_confidence(found)) < 3.5
    assert z_of_confidence([(share, source.permutation(labels)) for share, labels in found]) > 6


# --- margins ----------------------------------------------------------------------------------------------------------


def test_margins_over_their_scale_are_free_of_it_and_at_most_one_for_two_classes():
    source, labels = np.random.default_rng(0), np.arange(6) % 2
    outputs = source.normal(size=(50, 6, 2))
    margin, scale = normalised(outputs, labels)
    difference = np.where(labels == 0, 1, -1) * (outputs[..., 0] - outputs[..., 1])
    np.testing.assert_allclose(margin, difference.min(-1) / np.sqrt((difference**2).mean(-1)))
    np.testing.assert_allclose(normalised(7 * outputs + 3, labels)[0], margin)
    np.testing.assert_allclose(normalised(7 * outputs, labels)[1], 7 * scale)
    assert margin.max() <= 1
    assert np.isnan(normalised(np.zeros((1, 6, 2)), labels)[0]).all()
    three = source.normal(size=(5, 6, 3))
    by_hand = [min(d[i, y] - max(np.delete(d[i], y)) for i, y in enumerate(labels)) for d in three]
    np.testing.assert_allclose(normalised(three, labels)[0] * normalised(three, labels)[1], by_hand)


def test_results_tell_the_margins_of_every_law():
    found = margins(labelled())
    # Draws that fit have every label right, those of the prior hardly ever.
    assert found["posterior"]["margin"]["q25"] > 0 > found["prior"]["margin"]["q75"]
    assert found["posterior"]["margin"]["mcse"] > 0
    assert found["gd"]["margin"]["median"] <= 1
    untrained = labelled()
    untrained["gd"]["converged"].values[:] = 0
    assert margins(untrained)["gd"] is None


def test_the_report_has_no_unknown_errors_of_margins():
    tree = labelled()
    tree["prior"]["train_output"].values[0, 0] = 1.0  # a draw without a scale
    assert margins(tree)["prior"]["margin"]["mcse"] is None
    for result, without in ((tree, True), (labelled(), False)):
        (table,) = [each for section in result_page(result, Path("a.nc")).sections for each in section.tables
                    if "smallest margin" in each.caption]  # fmt: skip
        assert not any("?" in cell for row in table.rows for cell in row)
        assert table.headings[2] == "median [quartiles]"
        assert all(re.fullmatch(r"\S+ \[\S+, \S+\]", row[2]) for row in table.rows)
        assert ("Without ±: no error is known" in table.caption) is without


# --- functions --------------------------------------------------------------------------------------------------------


def searched(ours: np.ndarray, theirs: np.ndarray, restarts: int = 400, seed: int = 0) -> xr.DataTree:
    """Draws and restarts whose functions on three test examples have these eight probabilities."""
    source, dims = np.random.default_rng(seed), ("chain", "draw", "test_example")
    bits = np.array([[f >> 2 & 1, f >> 1 & 1, f & 1] for f in range(8)], np.float32)
    tree = voting(np.full((3, 2), 0.5), np.zeros(3, int))
    tree["posterior"] = xr.Dataset({"prediction": (dims, bits[source.choice(8, (ISLANDS, PARTICLES), p=ours)])})
    found = {"prediction": (("restart", "test_example"), bits[source.choice(8, restarts, p=theirs)])}
    tree["gd_at_eps"] = xr.Dataset(found | {"converged": ("restart", np.ones(restarts))})
    return tree


def test_functions_are_counted_and_equal_laws_overlap_as_chance_allows():
    law = np.array([0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02, 0.0])
    found = functions(searched(law, law), points=3)
    place = (found["label"].values * [4, 2, 1]).sum(-1)
    for name, count in (("posterior", ISLANDS * PARTICLES), ("gd", 400)):
        error = np.sqrt(law[place] * (1 - law[place]) / count)
        assert (np.abs(found[name].values - law[place]) <= 4 * error).all()
    assert (np.diff(found["posterior"].values) <= 0).all()
    assert found.attrs["correlation"] > 0.95
    assert found.attrs["overlap"] == pytest.approx(found.attrs["overlap_by_chance"], abs=0.06)
    # The control: another law.
    other = functions(searched(law, law[::-1]), points=3)
    assert other.attrs["correlation"] < 0
    assert other.attrs["overlap"] < other.attrs["overlap_by_chance"] - 0.3


def test_the_error_of_the_correlation_is_its_spread_over_seeds():
    law, other = np.array([0.3, 0.3, 0.2, 0.1, 0.1, 0, 0, 0]), np.array([0.2, 0.4, 0.1, 0.2, 0.1, 0, 0, 0])
    found = [functions(searched(law, other, 40, seed), points=3).attrs for seed in range(30)]
    spread = np.std([each["correlation"] for each in found], ddof=1)
    assert np.median([each["correlation_mcse"] for each in found]) == pytest.approx(spread, rel=0.4)


def test_fewer_points_merge_functions_and_what_is_not_there_is_said():
    tree = searched(np.full(8, 1 / 8), np.full(8, 1 / 8))
    assert functions(tree, points=1).sizes == {"function": 2, "point": 1}
    with pytest.raises(InputError, match="points is 4; it must be a whole number from 1 to 3"):
        functions(tree, points=4)
    tree["gd_at_eps"]["converged"].values[:] = 0
    with pytest.raises(InputError, match="no restart of gradient descent fitted"):
        functions(tree, points=2)
    with pytest.raises(InputError, match="no predictions of classes by gradient descent at equal fit"):
        functions(labelled(with_gd=False))


def test_pictures_say_what_they_show(tmp_path):
    tree = labelled()
    for draw in (plots.plot_calibration, plots.plot_functions):
        plots.save_figure(draw(tree), tmp_path / f"{draw.__name__}.svg")
    plots.save_figure(plots.plot_calibration(labelled(with_gd=False)), tmp_path / "without.png")
    with pytest.raises(InputError, match="plot_functions needs draws that fit, restarts that fitted"):
        plots.plot_functions(labelled(with_gd=False))
    assert "The laws of functions overlap by" in plots.plot_functions(tree).axes[0].get_title(loc="left")
    assert "often than its shares say" in plots.plot_calibration(tree).axes[0].get_title(loc="left")


def test_every_mark_of_the_picture_of_functions_is_in_its_legend():
    axes = plots.plot_functions(labelled(), points=4).axes[0]
    told = [text.get_text() for text in axes.get_legend().get_texts()]
    assert {"equally probable", "± standard error"} < set(told)
    shown = {each.get_label() for each in axes.collections if len(each.get_offsets())}
    assert shown & {"seen by both", "seen by one"} <= set(told)
    assert len(shown & set(told)) > 0


def test_islands_without_draws_have_no_vote() -> None:
    """As numbers of islands have gaps where some were lost, a replicate could hold no vote at all."""
    said = np.array([[0, 1], [1, 1], [1, 1]])
    counted = _counted(said, np.array([1, 1, 5]), 2)
    np.testing.assert_array_equal(counted, [[[1, 1], [0, 2]], [[0, 1], [0, 1]]])
    labels = np.array([0, 1])
    found = _calibration(Votes(100.0 * counted, True), labels)
    assert found is not None
    assert np.isfinite(found["ece"])
