from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from labelled_for_tests import labelled
from matplotlib.figure import Figure
from records_for_tests import RESTARTS, chained_tree, descent, draws, run, sensing_task, table_task, tree

import bayesgc as gc
import bayesgc.task as tasks
from bayesgc.analysis.plots import (
    plot_calibration,
    plot_cells,
    plot_curve,
    plot_forest,
    plot_functions,
    plot_joint,
    plot_levels,
    plot_losses,
    plot_ranks,
    plot_result,
    plot_spectrum,
    plot_sweep,
    save_figure,
)
from bayesgc.analysis.plots.calibration import calibration_title
from bayesgc.analysis.plots.joint import close_fits
from bayesgc.analysis.plots.losses import losses_title
from bayesgc.analysis.plots.sweep import LAWS
from bayesgc.analysis.report import write_report
from bayesgc.analysis.tree.storage import save
from bayesgc.analysis.words.numerals import rounded
from bayesgc.inference.records import Outcome
from bayesgc.validate import InputError


def without_levels() -> xr.DataTree:
    task = sensing_task()
    return tree(task, run=dataclasses.replace(run(task, posterior=draws(task, 0.08, 11)), levels=None))


CASES: dict[str, Callable[[], xr.DataTree]] = {
    "sensing": tree,
    "table": lambda: tree(table_task()),
    "nothing accepted": lambda: tree(accepted=False, outcome=Outcome.EXHAUSTED),
    "nothing accepted of a table": lambda: tree(table_task(), accepted=False),
    "no descent, no references": lambda: tree(with_gd=False, references={}),
    "no restart fitted": lambda: tree(gd=descent(sensing_task(), 0.01, converged=0)),
    "nothing held out": lambda: tree(tasks.sensing(rows=3, cols=2, rank=1, measurements=6, seed=2)),
    "no levels": without_levels,
}


PLOTS = (
    plot_losses, plot_curve, plot_cells, plot_joint, plot_spectrum, plot_levels, plot_forest, plot_result,
    plot_calibration, plot_functions, plot_ranks,
)  # fmt: skip


def drawn_or_refused(plot: Callable[..., Figure], result: xr.DataTree) -> Figure | None:
    """The figure, or None where the result has not what the plot needs, which is said in one way."""
    try:
        return plot(result)
    except InputError as refused:
        said = str(refused)
    method = result.attrs["method"]
    assert re.fullmatch(rf"{plot.__name__} needs [^;]+, which this result, whose method is {method!r}, has not\.", said)
    return None


@pytest.mark.parametrize("case", CASES)
def test_every_result_can_be_drawn_without_touching_global_settings(case: str) -> None:
    before = dict(mpl.rcParams)
    result = CASES[case]()
    figures = [figure for plot in PLOTS if (figure := drawn_or_refused(plot, result)) is not None]
    assert len(figures) >= 3  # the losses, the forest and the result at a glance
    for figure in figures:
        figure.canvas.draw()
    assert all(figure.axes for figure in figures)
    assert dict(mpl.rcParams) == before


def test_losses_show_both_laws_every_restart_and_the_reference_points() -> None:
    result = tree(gd=descent(sensing_task(), 0.01, converged=5))
    density, strip = plot_losses(result).axes
    assert density.get_xscale() == "log"
    assert [text.get_text() for text in density.get_legend().get_texts()] == [
        "prior", "G&C posterior", "GD, at ε", "GD, at its end", "did not fit"
    ]  # fmt: skip
    points = np.concatenate([collection.get_offsets() for collection in strip.collections])
    assert len(points) == 5 + RESTARTS
    np.testing.assert_allclose(points[:5, 0], result["gd_at_eps"]["gen_loss"].values[:5])
    np.testing.assert_allclose(np.sort(points[5:, 0]), np.sort(result["gd"]["gen_loss"].values))
    # The zero predictor and least squares leave the same held-out loss, so they share a label.
    assert [text.get_text() for text in strip.texts] == ["zero = least squares = min. nuclear norm", "chance"]
    assert "better than the prior" in density.get_title(loc="left")


def test_the_curve_shows_every_finite_level_with_its_band() -> None:
    result = tree()
    volume, top = plot_curve(result).axes
    levels = result["levels"].to_dataset().isel(level=slice(1, None))
    for axes, name in ((top, "gen_loss"), (volume, "log_volume")):
        x, y = axes.lines[0].get_data()
        np.testing.assert_allclose(x, levels["threshold"])
        np.testing.assert_allclose(y, levels[name])
        band = axes.collections[0].get_paths()[0].vertices[:, 1]
        lowest = levels[name] - 1.96 * levels[f"{name}_mcse"]
        assert band.min() == pytest.approx(float(lowest.min()))
    beside = [text.get_text() for text in top.get_legend().get_texts()]
    median = float(result["gd"]["gen_loss"].median())  # thirty times below the curve and more: said, not drawn
    assert beside == ["G&C posterior", "GD on its way", "prior", "zero", f"GD, at its end: {rounded(median, 2)}"]
    x, y = top.lines[1].get_data()
    known = result["gd"]["curve_gen_loss"].sel(threshold=slice(0.3, 0.0035))
    np.testing.assert_allclose(x, known["threshold"])
    np.testing.assert_allclose(y, known.median("restart"))


def test_the_limit_of_exact_fits_is_a_line_and_no_point() -> None:
    result = tree()
    levels = result["levels"].to_dataset()
    levels["threshold"].values[-1], levels["log_volume"].values[-1] = 0.0, np.nan
    result["levels"] = levels
    volume, top = plot_curve(result).axes
    assert len(top.lines[0].get_xdata()) == len(volume.lines[0].get_xdata()) == levels.sizes["level"] - 2
    assert top.lines[-1].get_ydata() == pytest.approx([float(levels["gen_loss"][-1])] * 2)
    assert top.texts[-1].get_text() == "ε → 0"


def test_the_joint_plot_has_every_restart_and_the_threshold() -> None:
    result = tree(gd=descent(sensing_task(), 0.01, converged=5))
    (axes,) = plot_joint(result).axes
    for place, group in ((2, "gd_at_eps"), (3, "gd")):
        offsets = axes.collections[place].get_offsets()
        np.testing.assert_allclose(offsets[:, 0], result[group]["train_loss"].values[:5], rtol=1e-6)
        np.testing.assert_allclose(offsets[:, 1], result[group]["gen_loss"].values[:5], rtol=1e-6)
    assert axes.lines[0].get_xdata()[0] == 0.0035
    assert "draws that fit better\ngeneralise better" in axes.get_title(loc="left")


def test_the_spectrum_shows_medians_of_shares_of_the_largest() -> None:
    result = tree()
    (axes,) = plot_spectrum(result).axes
    singular = np.linalg.svd(result["posterior"]["end_to_end"].values.reshape(-1, 4, 3), compute_uv=False)
    drawn = {container.get_label(): container[0].get_ydata() for container in axes.containers}
    assert list(drawn) == ["prior", "G&C posterior", "GD, at ε", "truth"]
    np.testing.assert_allclose(drawn["G&C posterior"], np.median(singular / singular[:, :1], axis=0), rtol=1e-4)


def test_the_forest_has_medians_from_top_to_bottom_and_says_which_is_better() -> None:
    task = sensing_task()
    worse = tree(task, run=run(task, posterior=draws(task, 0.4, 12)), seed=2)
    (axes,) = plot_forest(tree(), worse, labels=["depth 8", "depth 2"]).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["depth 8", "depth 2"]
    medians = {
        float(line.get_ydata()[0]): float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o"
    }
    assert medians[-1.0] == pytest.approx(float(worse["posterior"]["gen_loss"].median()))
    assert axes.get_title(loc="left") == "Weights that fit generalise worse\nat depth 2 than at depth 8"
    with pytest.raises(InputError, match="no result"):
        plot_forest()


@pytest.mark.parametrize(
    ("seed", "error", "words"),
    [
        (2, 1e-4, "Weights that fit generalise worse"),
        (2, 0.5, "The errors cannot decide"),
        (2**70, 1e-4, "The errors cannot decide"),  # of runs that share their random numbers
    ],
)
def test_the_forest_judges_as_compare_does(seed: int, error: float, words: str) -> None:
    task = sensing_task()
    pair = [tree(), tree(task, run=run(task, posterior=draws(task, 0.1, 12)), seed=seed)]
    for each in pair:
        each["posterior"]["gen_loss"].attrs["mcse"] = error
    standing = gc.compare(*pair).differences[0]["factor"]["standing"]
    assert (standing == "undecided") == ("cannot" in words)
    assert plot_forest(*pair, labels=["a", "b"]).axes[0].get_title(loc="left").split("\n")[0] == words
    again = tree(seed=2)
    again["posterior"]["gen_loss"].attrs["mcse"] = pair[0]["posterior"]["gen_loss"].attrs["mcse"] = 1e-6
    assert "generalise alike" in plot_forest(pair[0], again).axes[0].get_title(loc="left")


@pytest.mark.parametrize("seed", [1, 2])
def test_the_forest_of_different_tasks_judges_nothing(seed: int) -> None:
    task = gc.sensing(rows=4, cols=3, rank=1, measurements=7, seed=seed)
    other = tree(task, run=run(task, posterior=draws(task, 0.4, 12)), seed=2)
    title = plot_forest(tree(), other, labels=["a", "b"]).axes[0].get_title(loc="left")
    assert ("tasks that differ" in title, "generalise worse" in title) == (seed == 2, seed == 1)


def test_levels_are_drawn_with_the_least_that_a_diagnosis_accepts() -> None:
    result = tree()
    acceptance, ancestors = plot_levels(result).axes
    np.testing.assert_allclose(acceptance.lines[0].get_ydata(), result["levels"]["acceptance"].values[1:])
    assert ancestors.lines[1].get_ydata()[0] == 10
    assert acceptance.get_title(loc="left") == "Particles move and have many ancestors"


def test_rank_plots_are_for_chains_alone() -> None:
    figure = plot_ranks(chained_tree())
    assert "The chains agree (R̂ = 1.004)" in figure.get_suptitle()
    assert len([axes for axes in figure.axes if axes.lines]) == 3
    with pytest.raises(InputError, match=r"chains, which this result, whose method is 'splitting', has not\.$"):
        plot_ranks(tree())


def refused_names(result: xr.DataTree) -> set[str]:
    return {plot.__name__.removeprefix("plot_") for plot in PLOTS if drawn_or_refused(plot, result) is None}


def test_a_plot_that_does_not_suit_says_what_it_needs() -> None:
    labels = {"calibration", "functions", "ranks"}
    assert refused_names(tree()) == labels | {"cells"}
    assert refused_names(tree(table_task())) >= labels | {"joint"}
    assert refused_names(without_levels()) >= labels | {"levels", "curve"}
    ax = (figure := Figure()).subplots()
    with pytest.raises(InputError, match="plot_levels needs a method that climbs levels"):
        plot_levels(without_levels(), ax=ax)
    assert figure.axes == [ax]  # which is still there


def test_what_is_no_result_is_not_drawn() -> None:
    for plot in PLOTS:
        with pytest.raises(InputError, match=f"{plot.__name__} needs a result, as infer or load_result gives it"):
            plot(xr.DataTree())
    with pytest.raises(InputError, match="plot_sweep needs prior_gen_loss, .*; the dataset has none"):
        plot_sweep(xr.Dataset())


def test_a_dataset_without_the_measure_is_no_sweeps() -> None:
    axes = {"depth": [2, 4], "task_seed": [0, 1]}
    losses = {f"{law}_gen_loss": (tuple(axes), np.ones((2, 2))) for law in ("prior", "posterior")}
    with pytest.raises(InputError, match="plot_sweep needs posterior_gen_loss_mcse, .*; the dataset has prior"):
        plot_sweep(xr.Dataset(losses, axes))
    needed = ("posterior_gen_loss_mcse", "log_volume", "log_volume_mcse")
    whole = xr.Dataset(losses | dict.fromkeys(needed, losses["prior_gen_loss"]), axes)
    assert len(plot_sweep(whole).axes) == 3  # no descent, and no row of it
    with pytest.raises(InputError, match="plot_forest needs draws whose 'rank' is known"):
        plot_forest(tree(), quantity="rank")


def test_labels_in_any_script_and_with_any_sign_are_drawn_without_a_warning(tmp_path: Path) -> None:
    # Warnings are errors here; the font has no Chinese and no Devanagari, and a dollar sign would begin a formula.
    labels = {"row": ["漢字 ग", "$\\frac{", "Cy", "two\nlines"], "col": ["mass", "مرحبا", "a_b^c $x$"]}
    result = tree(dataclasses.replace(table_task(), coords=labels))
    figure = plot_cells(result)
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["漢字 ग · مرحبا", "$\\frac{ · a_b^c $x$", "two lines · mass"]
    for suffix in (".png", ".svg", ".pdf"):
        assert save_figure(figure, tmp_path / f"cells{suffix}").stat().st_size > 1000
    page = write_report(save(result, tmp_path / "run.nc"), tmp_path / "run.html").read_text(encoding="utf-8")
    assert "漢字 ग" in page


def test_unknown_truth_shows_the_missing_cells_in_standard_deviations() -> None:
    axes = plot_result(tree(table_task())).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["Ada · age", "Bo · µ", "Dé · mass"]
    result = tree(table_task())
    age = result["posterior"]["end_to_end"].sel(row="Ada", col="age").values.mean(dtype=float)
    # A column of four rows is scaled by twice its standard deviation, which here is 2.5.
    assert axes.lines[0].get_xdata()[0] == pytest.approx((age - 10.0) / 2.5, rel=1e-4)
    assert "[" in axes.texts[0].get_text()


def with_thresholds(count: int, task: Any = None, **changes: Any) -> xr.DataTree:
    """A result that knows of the prior and of so many thresholds down to ε."""
    task = sensing_task() if task is None else task
    found = run(task, posterior=draws(task, 0.08, 11))
    whole = {each.name: getattr(found.levels, each.name) for each in dataclasses.fields(found.levels)}
    kept = {name: each[[0, *range(len(each) - count, len(each))]] for name, each in whole.items()}
    return tree(task, run=dataclasses.replace(found, levels=type(found.levels)(**kept)), **changes)


def test_a_curve_of_few_thresholds_or_of_fits_that_ask_for_nothing_is_headed_by_no_law() -> None:
    assert "the better it generalises" in plot_curve(with_thresholds(3)).axes[1].get_title(loc="left")
    few = with_thresholds(2)
    assert "Too few thresholds to tell" in plot_curve(few).axes[1].get_title(loc="left")
    assert close_fits(with_thresholds(3)) == "better"
    assert close_fits(few) == ""
    loose = tree()
    loose.attrs["eps"] = 1e6  # which the zero matrix passes
    title = plot_curve(loose).axes[1].get_title(loc="left")
    assert title == "A fit asks for next to nothing\nat ε = 1e+06"
    assert close_fits(loose) == ""


def test_without_a_truth_the_curve_is_headed_by_how_rare_the_last_fits_are() -> None:
    result = tree(table_task())
    (volume,) = plot_curve(result).axes
    assert volume.get_title(loc="left") == "At ε = 0.0035\none prior draw in 4 400 fits"  # e^8.4
    del result["posterior"]
    result["levels"] = result["levels"].to_dataset().isel(level=slice(0, 2))
    (volume,) = plot_curve(result).axes
    assert volume.get_title(loc="left") == "ε = 0.0035 was not reached;\nat ε = 0.3\none prior draw in 3.3 fits"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accepted": False}, "No draw reached ε = 0.0035"),
        ({"with_gd": False}, "better than the prior"),
        ({"outcome": Outcome.STALLED}, "(stalled)"),
    ],
)
def test_titles_say_what_one_sees(changes: dict[str, Any], words: str) -> None:
    assert words in plot_losses(tree(**changes)).axes[0].get_title(loc="left")


def test_a_run_that_drew_nothing_has_its_title() -> None:
    spent = {"posterior": None, "eps": 0.1, "diagnostics": {"evaluations": 900, "draws": 0}}
    assert losses_title(spent) == "Nothing was drawn"
    assert losses_title(spent | {"diagnostics": {"evaluations": 900}}) == "No draw reached ε = 0.1"


def test_figures_are_written_in_the_format_named_or_refused_in_one_line(tmp_path: Path) -> None:
    figure = plot_losses(tree())
    assert save_figure(figure, tmp_path / "plot.svg").read_text().lstrip().startswith("<?xml")
    for name in ("plot.docx", "plot"):
        with pytest.raises(InputError, match=r"its ending must be one of .*png"):
            save_figure(figure, tmp_path / name)
    with pytest.raises(InputError, match="Cannot write"):
        save_figure(figure, tmp_path / "absent" / "plot.png")


def test_a_sweep_is_drawn_along_words_too_and_seeds_of_one_task_count_once() -> None:
    axes = {"activation": ["linear", "tanh"], "task_seed": [0, 1, 2], "seed": [0, 1, 2, 3]}
    source = np.random.default_rng(0)
    names = (*LAWS, "posterior_gen_loss_mcse", "log_volume", "log_volume_mcse", "gd_at_eps_converged", "gd_restarts")
    cells = xr.Dataset({name: (tuple(axes), source.lognormal(size=(2, 3, 4))) for name in names}, coords=axes)
    losses, *_, bottom = plot_sweep(cells).axes
    assert [label.get_text() for label in bottom.get_xticklabels()] == ["linear", "tanh"]
    drawn = {line.get_label(): line.get_ydata() for line in losses.lines}
    expected = np.median(cells["posterior_gen_loss"].values.mean(axis=2), axis=1)
    np.testing.assert_allclose(drawn["G&C posterior"], expected)
    with pytest.raises(InputError, match="axis is 'depth'; choose one of activation"):
        plot_sweep(cells, "depth")


def test_no_panel_of_a_sweep_is_cut_off_at_the_height_of_the_first():
    axes = {"panel": ["low", "high"], "depth": [2, 4], "task_seed": [0, 1]}
    names = (*LAWS, "posterior_gen_loss_mcse", "log_volume", "log_volume_mcse", "gd_at_eps_converged", "gd_restarts")
    heights = np.broadcast_to(np.array([1.0, 7.0])[:, None, None], (2, 2, 2))
    figure = plot_sweep(xr.Dataset({name: (tuple(axes), heights) for name in names}, coords=axes))
    for ax in figure.axes[:2]:
        low, high = ax.get_ylim()
        assert low == 0
        assert high > 7


@pytest.mark.parametrize(("prior", "said"), [(2.0, False), (90.0, True)])
def test_a_prior_that_would_dwarf_the_rest_leaves_the_picture(prior, said):
    axes = {"depth": [2, 4], "task_seed": [0, 1]}
    names = (*LAWS, "posterior_gen_loss_mcse", "log_volume", "log_volume_mcse", "gd_at_eps_converged", "gd_restarts")
    values = {name: (tuple(axes), np.full((2, 2), prior if name == "prior_gen_loss" else 1.0)) for name in names}
    figure = plot_sweep(xr.Dataset(values, coords=axes))
    assert ("above the picture" in figure.get_suptitle()) is said
    assert bool(figure.axes[0].get_ylim()[1] < prior) is said


def test_the_longest_title_of_losses_is_not_cut_off() -> None:
    """Of labelled examples whose descent is not told apart at its first fit."""
    figure = gc.plot_losses(labelled())
    title = figure.axes[0]._left_title  # which has no public name
    assert title.get_text().endswith("is not told apart at its first fit")
    figure._repr_png_()  # which lays it out
    assert title.get_window_extent().x1 <= figure.bbox.x1


def test_the_heading_of_how_rare_fits_are_is_not_cut_off_and_sets_powers_of_ten() -> None:
    result = tree(table_task())
    del result["posterior"]
    levels = result["levels"].to_dataset()
    result["levels"] = levels.assign(log_volume=levels["log_volume"] - 45, threshold=levels["threshold"] * 1.2345)
    figure = plot_result(result)
    title = figure.axes[-1]._left_title
    assert re.search(r"one prior draw in \d·10[⁰¹²³⁴⁵⁶⁷⁸⁹]+ fits", title.get_text())
    figure._repr_png_()
    assert title.get_window_extent().x1 <= figure.bbox.x1


def test_the_heading_of_calibration_claims_no_agreement_and_is_not_cut_off() -> None:
    figure = plot_calibration(labelled())
    words = calibration_title({"ece": 0.1, "ece_by_chance_q95": 0.2})
    assert words == "No difference between the vote's shares\nand how often it is right can be told"
    figure.axes[0].set_title(words)
    title = figure.axes[0]._left_title
    assert figure.axes[0].get_xlabel().endswith("(an example counts once for each class)")
    figure._repr_png_()
    assert title.get_window_extent().x1 <= figure.bbox.x1
