"""Claims about what the paper leaves open, on made-up sweeps that hold, fail and are undecided."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import stats

import bayesgc as gc
from bayesgc.analysis.claims.claims import judge
from bayesgc.analysis.claims.decisions import Claim
from bayesgc.analysis.plots.one_axis import plot_one_axis
from bayesgc.analysis.tree.stores import load_cells

TASKS = 8
NOISE = np.random.default_rng(2).normal(0, 0.03, (8, 8, TASKS))
"""What tasks differ in, (point, point, task)."""
LARGE = NOISE * 10


def write(folder: Path, axes: dict[str, list], options: dict | None = None, **losses) -> Path:
    """A store over these axes and eight tasks; each loss broadcasts to its shape."""
    coords = {**axes, "task_seed": list(range(TASKS))}
    shape = tuple(len(values) for values in coords.values())
    known = {"prior_gen_loss": 0.3, "zero_gen_loss": 0.05, "gd_gen_loss": np.nan, "posterior_gen_loss": 0.1} | losses
    values = {
        name: (list(coords), np.broadcast_to(np.asarray(each, dtype=float), shape).copy())
        for name, each in known.items()
    }
    for law in ("prior", "posterior"):
        values[f"{law}_gen_loss_mcse"] = (list(coords), 0.01 * values[f"{law}_gen_loss"][1])
    values["outcome"] = (list(coords), np.full(shape, "converged", dtype=object))
    folder.mkdir(parents=True)
    dataset = xr.Dataset(values, coords, {"title": "made up", "sweep": json.dumps({"options": options or {}})})
    dataset.to_netcdf(folder / "sweep.nc", engine="h5netcdf")
    return folder


def found(name: str, *stores: Path) -> list[Claim]:
    return [claim for claim in judge(stores).claims if claim.claim == name]


def verdict(name: str, *stores: Path) -> str:
    [claim] = found(name, *stores)
    return claim.verdict


def shifted(factors, noise) -> np.ndarray:
    """Losses that change by these factors along the first axes, with what tasks differ in."""
    factors = np.asarray(factors, dtype=float)
    part = noise[:, 0] if factors.ndim == 1 else noise
    return 0.05 * factors[..., None] * np.exp(part[tuple(slice(side) for side in factors.shape)])


@pytest.mark.parametrize(
    ("last", "noise", "expected"),
    [
        (1.02, NOISE, "holds"),
        (0.98, NOISE, "holds"),
        (1.3, NOISE, "fails"),
        (0.7, NOISE, "fails"),
        (1.0, LARGE, "undecided"),
    ],
)
def test_wide_nets_are_at_their_limit(tmp_path, last, noise, expected):
    store = write(
        tmp_path / "s",
        {"width": [5, 320]},
        posterior_gen_loss=shifted([0.5, last], noise),
        wide_gen_loss=0.05,
        wide_gen_loss_mcse=1e-5,
        wide_prior_gen_loss=0.05,
    )
    [claim] = found("the limit of infinite width is reached", store)
    assert (claim.verdict, claim.within, claim.tasks) == (expected, True, TASKS)
    np.testing.assert_allclose(claim.mc_error, np.hypot(0.01, 2e-4) / np.sqrt(TASKS))


@pytest.mark.parametrize(
    ("share", "noise", "expected"), [(0.99, NOISE, "holds"), (0.7, NOISE, "fails"), (0.9, LARGE, "undecided")]
)
def test_the_limit_may_not_be_the_prior(tmp_path, share, noise, expected):
    limit = shifted([share, share], noise)
    axes = {"width": [5, 320]}
    store = write(tmp_path / "s", axes, wide_gen_loss=limit, wide_gen_loss_mcse=1e-5, wide_prior_gen_loss=0.05)
    assert verdict("infinitely wide nets are no better than the prior", store) == expected


def test_nothing_is_said_of_a_limit_that_is_not_known(tmp_path):
    unknown = dict.fromkeys(("wide_gen_loss", "wide_gen_loss_mcse", "wide_prior_gen_loss"), np.nan)
    for store in (write(tmp_path / "a", {"width": [5, 320]}), write(tmp_path / "b", {"width": [5, 320]}, **unknown)):
        assert not found("the limit of infinite width is reached", store)


AXES = {"depth": [2, 16], "eps": [0.01, 0.001, 0.0003]}
SETTLED, FALLING = [3.0, 1.0, 1.0], [10.0, 1.0, 0.3]


@pytest.mark.parametrize(
    ("shallow", "noise", "expected"),
    [(SETTLED, NOISE, "holds"), (FALLING, NOISE, "fails"), (SETTLED, LARGE, "undecided")],
)
def test_the_loss_has_settled_where_a_smaller_threshold_changes_nothing(tmp_path, shallow, noise, expected):
    store = write(tmp_path / "s", AXES, posterior_gen_loss=shifted([shallow, FALLING], noise))
    first, second = found("the loss has settled as ε goes to zero", store)
    assert (first.panel, first.verdict) == ("made up, depth 2", expected)
    assert second.verdict == "fails"
    assert "at ε = 0.0003 over that at 0.001" in first.measured


@pytest.mark.parametrize(
    ("shallow", "deep", "noise", "expected"),
    [
        (SETTLED, FALLING, NOISE, "holds"),
        (FALLING, FALLING, NOISE, "fails"),
        (SETTLED, SETTLED, LARGE, "undecided"),
    ],
)
def test_small_thresholds_are_worth_more_where_deep_nets_gain_more(tmp_path, shallow, deep, noise, expected):
    store = write(tmp_path / "s", AXES, posterior_gen_loss=shifted([shallow, deep], noise))
    [claim] = found("small thresholds are worth more in deep nets", store)
    assert claim.verdict == expected
    np.testing.assert_allclose(claim.mc_error, 0.02 / np.sqrt(TASKS))


def test_the_order_of_the_axes_does_not_matter(tmp_path):
    losses = shifted([SETTLED, FALLING], NOISE)
    store = write(tmp_path / "a", AXES, posterior_gen_loss=losses)
    turned = {"eps": AXES["eps"][::-1], "depth": AXES["depth"][::-1]}
    other = write(tmp_path / "b", turned, posterior_gen_loss=losses.transpose(1, 0, 2)[::-1, ::-1])
    name = "small thresholds are worth more in deep nets"
    assert found(name, store)[0].effect == pytest.approx(found(name, other)[0].effect)


def widths(folder: Path, at_ten, at_forty, noise=NOISE, **options) -> Path:
    """Two sweeps along depth, of width 10 and 40, whose depths over width are 1 and 4."""
    for width, factors, part in ((10, at_ten, noise), (40, at_forty, -noise)):
        axes = {"depth": [width, 4 * width]}
        given = {"width": width, "eps": 0.01} | ({} if width == 10 else options)
        write(folder / f"width-{width}", axes, given, posterior_gen_loss=shifted(factors, part))
    return folder


@pytest.mark.parametrize(
    ("at_forty", "noise", "expected"),
    [([4, 1.02], NOISE, "holds"), ([8, 2], NOISE, "fails"), ([2, 0.5], NOISE, "fails"), ([4, 1], LARGE, "undecided")],
)
def test_depth_over_width_is_the_one_axis_where_both_widths_agree(tmp_path, at_forty, noise, expected):
    [claim] = found("depth over width is the one axis", widths(tmp_path / "s", [4, 1], at_forty, noise))
    assert (claim.verdict, claim.panel) == (expected, "widths 10 and 40")
    assert claim.measured.endswith("at width 40 over that at width 10, mean over depth / width = 1, 4")
    # Two points of two cells each, all independent.
    np.testing.assert_allclose(claim.mc_error, 0.01 / np.sqrt(TASKS))


@pytest.mark.parametrize(
    ("at_forty", "noise", "expected"), [(4, NOISE, "holds"), (1, NOISE, "fails"), (1.1, LARGE, "undecided")]
)
def test_at_a_given_depth_width_hurts(tmp_path, at_forty, noise, expected):
    # The depth that both have is 40: the second of width 10, the first of width 40.
    store = widths(tmp_path / "s", [9, 1], [at_forty, 9], noise)
    assert verdict("width hurts at a given depth", store) == expected


def test_the_picture_has_a_curve_for_each_width_against_depth_over_width(tmp_path):
    folder = widths(tmp_path / "s", [4, 1], [4, 1])
    datasets = [load_cells(folder / f"width-{width}" / "sweep.nc") for width in (10, 40)]
    [ax] = plot_one_axis(datasets).axes
    drawn = {line.get_label(): line for line in ax.get_lines()}
    for width, dataset in zip((10, 40), datasets, strict=True):
        line = drawn[f"width {width}"]
        np.testing.assert_allclose(line.get_xdata(), [1, 4])
        np.testing.assert_allclose(line.get_ydata(), np.median(dataset["posterior_gen_loss"], axis=1))
    with pytest.raises(gc.InputError, match="not a sweep along depth"):
        plot_one_axis([load_cells(write(tmp_path / "w", {"width": [5, 10]}) / "sweep.nc")])


def test_sweeps_that_differ_in_more_than_the_width_are_not_compared(tmp_path):
    assert not found("depth over width is the one axis", widths(tmp_path / "s", [4, 1], [4, 1], eps=0.02))


COUNTS = [6, 12, 18, 24]


def crossing_at(places, noise=0.0) -> np.ndarray:
    """Losses that fall linearly and pass half of the zero matrix's 0.05 at these numbers of measurements."""
    places = np.asarray(places, dtype=float) + noise
    return 0.025 * (1 + (places - np.asarray(COUNTS, dtype=float)[:, None]) / 40)


JITTER = np.random.default_rng(3).normal(0, 0.3, TASKS)


@pytest.mark.parametrize(
    ("place", "scatter", "expected"), [(11.0, 1, "holds"), (19.0, 1, "fails"), (15.0, 10, "undecided")]
)
def test_the_truth_is_found_from_some_number_of_measurements_on(tmp_path, place, scatter, expected):
    places = place + scatter * JITTER
    store = write(tmp_path / "s", {"measurements": COUNTS}, posterior_gen_loss=crossing_at(places))
    [claim] = found("Guess & Check finds the truth by 15 measurements", store)
    assert (claim.verdict, claim.unit) == (expected, "measurements")
    low, high = stats.t.interval(0.95, TASKS - 1, places.mean(), places.std(ddof=1) / np.sqrt(TASKS))
    np.testing.assert_allclose([claim.effect, *claim.ci95], [places.mean(), low, high])
    # A loss falls by 0.025/40 a measurement, and two of them with an error of 1 % of about 0.025 fix the crossing.
    assert 0.2 < claim.mc_error * np.sqrt(TASKS) < 0.5


def test_the_error_of_a_crossing_is_that_of_repeated_draws(tmp_path):
    exact = crossing_at(np.full(TASKS, 15.0))
    rng = np.random.default_rng(1)
    places = []
    for i in range(30):
        noisy = exact * (1 + 0.01 * rng.standard_normal(exact.shape))
        [claim] = found(
            "Guess & Check finds the truth by 15 measurements",
            write(tmp_path / str(i), {"measurements": COUNTS}, posterior_gen_loss=noisy),
        )
        places.append(claim.effect)
    # 30 repeats know their spread to 13 %.
    assert np.std(places, ddof=1) == pytest.approx(claim.mc_error, rel=0.4)


def test_a_loss_that_rises_again_counts_from_where_it_stays_low(tmp_path):
    losses = np.repeat([[0.1], [0.02], [0.03], [0.02]], TASKS, axis=1)
    store = write(tmp_path / "s", {"measurements": COUNTS}, posterior_gen_loss=losses)
    [claim] = found("Guess & Check finds the truth by 15 measurements", store)
    assert claim.effect == pytest.approx(21.0)


def test_tasks_beyond_the_axis_count_with_its_end_and_are_named(tmp_path):
    places = np.array([2.0, 40.0] + [15.0] * 6)
    store = write(tmp_path / "s", {"measurements": COUNTS}, posterior_gen_loss=crossing_at(places))
    [claim] = found("Guess & Check finds the truth by 15 measurements", store)
    assert claim.effect == pytest.approx((6 + 24 + 6 * 15) / 8)
    assert "below it from the first number on, with which they count: 1 task;" in claim.note
    assert "above it to the last number, with which they count: 1 task" in claim.note


@pytest.mark.parametrize(
    ("unknown", "tasks"),
    [
        (
            slice(0, 1),
            TASKS,
        ),  # whatever the loss was there, it is known where it last passes the half
        (slice(3, 4), TASKS - 1),  # it may have been above the half again
        (slice(0, 4), TASKS - 1),
    ],
)
def test_a_task_counts_where_it_is_known_from_which_number_on(tmp_path, unknown, tasks):
    losses = crossing_at(14.0 + JITTER)
    losses[unknown, 0] = np.nan
    store = write(tmp_path / "s", {"measurements": COUNTS}, posterior_gen_loss=losses)
    [claim] = found("Guess & Check finds the truth by 15 measurements", store)
    there = slice(TASKS - tasks, None)
    assert (claim.tasks, claim.effect) == (tasks, pytest.approx((14.0 + JITTER)[there].mean()))
    assert claim.verdict == ("holds" if tasks == TASKS else "undecided")
    assert claim.note == ("" if tasks == TASKS else "1 of 8 tasks have no number")


@pytest.mark.parametrize(
    ("options", "asked"),
    [({}, True), ({"rows": 5, "cols": 5}, True), ({"rows": 4}, False), ({"shape": "5x5x5"}, False)],
)
def test_the_papers_number_of_measurements_is_for_matrices_of_its_size(tmp_path, options, asked):
    losses = {"posterior_gen_loss": crossing_at(11 + JITTER), "gd_gen_loss": crossing_at(9 + JITTER)}
    store = write(tmp_path / "s", {"measurements": COUNTS}, options, **losses)
    judged = {claim.claim for claim in judge([store]).claims}
    assert ("Guess & Check finds the truth by 15 measurements" in judged) is asked
    assert "Guess & Check needs more measurements than gradient descent" in judged


def test_along_measurements_descent_is_asked_for_its_number_only(tmp_path):
    store = write(tmp_path / "s", {"measurements": COUNTS}, gd_gen_loss=crossing_at(9.0 + JITTER))
    assert verdict("gradient descent finds the truth by 15 measurements", store) == "holds"
    assert not found("gradient descent generalises", store)


@pytest.mark.parametrize(
    ("descent", "scatter", "expected"), [(9.0, 1, "holds"), (21.0, 1, "fails"), (15.0, 1, "undecided")]
)
def test_which_of_the_two_needs_more_measurements(tmp_path, descent, scatter, expected):
    store = write(
        tmp_path / "s",
        {"measurements": COUNTS},
        posterior_gen_loss=crossing_at(15 + JITTER),
        gd_gen_loss=crossing_at(descent - scatter * JITTER),
    )
    [claim] = found("Guess & Check needs more measurements than gradient descent", store)
    assert claim.verdict == expected
    assert claim.effect == pytest.approx(15 - descent + 2 * JITTER.mean())


def test_numbers_of_measurements_are_printed_as_such(tmp_path, capsys):
    from bayesgc.cli.show import print_claims

    store = write(
        tmp_path / "s",
        {"measurements": COUNTS},
        posterior_gen_loss=crossing_at(15 + JITTER),
        gd_gen_loss=crossing_at(9.0 + JITTER),
    )
    print_claims([store], as_json=False)
    printed = " ".join(capsys.readouterr().out.split())
    assert "the number of measurements from which on E[L_gen] stays below 0.5 of the zero matrix's" in printed
    assert "claimed below 15" in printed


def test_what_was_measured_is_printed_above_the_numbers_it_is_true_of(tmp_path, capsys):
    from bayesgc.cli.show import print_claims

    widths = ([5, 80], [5, 640])
    stores = [
        write(tmp_path / str(place), {"width": each}, posterior_gen_loss=np.array([[1.0], [2.0]]) + 0.01 * JITTER)
        for place, each in enumerate(widths)
    ]
    print_claims(stores, as_json=False)
    printed = " ".join(capsys.readouterr().out.split())
    hurts = printed[printed.index("width hurts") : printed.index("wide nets")]
    assert hurts.count("width hurts") == 2
    assert "at width 80 over that at width 5" in hurts
    assert "at width 640 over that at width 5" in hurts
