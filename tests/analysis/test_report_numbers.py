"""Every number of a report, in its tables and under the pointer, made again from the draws or from the sweep's table.

Whole tables and all that hovering shows are compared, so a number that nothing here makes again is a failure.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from bokeh.models import HoverTool
from pages_for_tests import EVIL, Tables, page_of
from recomputed_for_tests import MATRIX_FUNCTIONS, entry, flat, good, measured, weighted
from records_for_tests import curve, levels, sensing_task, table_task, tree
from scipy import stats

from bayesgc.analysis.report import charts, write_report
from bayesgc.analysis.report.sweep import _chart
from bayesgc.analysis.tree.stores import load_store
from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.words.numerals import quartiles, rounded, with_error

LAW_NAMES = {
    "prior": "prior", "posterior": "G&C posterior", "gd_at_eps": "GD, at ε", "gd": "GD, at its end", "map": "MAP",
    "truth": "truth",
}  # fmt: skip


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages without pictures, which take longest to make."""
    monkeypatch.setattr("bayesgc.analysis.report.result._pictures", lambda tree, result: iter(()))


def spread(values: dict[str, float], middle: float | None = None) -> str:
    return f"{rounded(values['median'] if middle is None else middle)}\n{quartiles(values['q25'], values['q75'])}"


def laws_table(known: dict[str, Any]) -> dict[str, list[str]]:
    rows = {}
    for law in ("prior", "posterior"):
        gen, train, rank = (known[law][name] for name in ("gen_loss", "train_loss", "effective_rank"))
        ours = law == "posterior"
        name = f"{LAW_NAMES[law]}\nits median" if ours else LAW_NAMES[law]
        relative = known[law]["gen_loss_relative"]
        rows[name] = [
            with_error(gen["mean"], gen["mcse"]), rounded(relative["mean"], 2),
            with_error(train["mean"], train["mcse"], 1), with_error(rank["mean"], rank["mcse"], 1),
        ]  # fmt: skip
        for place, each in ((0, gen), (2, train), (3, rank)) if ours else ():
            rows[name][place] += f"\n{rounded(each['q50'])}\n{quartiles(each['q25'], each['q75'])}"
        rows[name][1] += f"\n{rounded(relative['q50'], 2)}" if ours else ""
    mode, best = known["map"], known["map"]["best"]
    for when, gd in (("at ε", known["gd"]["at_eps"]), ("at its end", known["gd"])):
        rows[f"GD, {when}\n9/12 fitted"] = [
            spread(gd["gen_loss"]), rounded(gd["gen_loss_relative"]["median"], 2), spread(gd["train_loss"]),
            spread(gd["effective_rank"]),
        ]  # fmt: skip
    rows["MAP, best\n6/12 fitted"] = [
        spread(mode["gen_loss"], best["gen_loss"]), rounded(best["gen_loss_relative"], 2), "0",
        spread(mode["effective_rank"], best["effective_rank"]),
    ]  # fmt: skip
    points = known["baselines"]
    zero = points["zero"]["gen_loss"]
    for name, point in points.items():
        exact = name == "least_squares"
        rows[name.replace("_", " ")] = [
            rounded(point["gen_loss"]), rounded(point["gen_loss"] / zero, 2),
            "0" if exact else rounded(point["train_loss"]), "",
        ]  # fmt: skip
    return rows


def mechanisms_table(known: dict[str, Any]) -> dict[str, list[str]]:
    """Value by quantity; the third column is words, but for Newman's limit."""
    seen, share, together = known["spectrum"], known["below"]["posterior"], known["dependence"]
    stands = [known["standing"]["gd"][name] for name in MATRIX_FUNCTIONS]
    gap, limit = seen["prior"]["gap_per_layer"], seen["lyapunov"]["gap"]
    names = ("GD's generalisation loss", "GD's effective rank", "GD's nuclear norm")
    places = [
        {0.0: "below all"}.get(each["quantile"], with_error(each["quantile"], each["mcse"], 1)) for each in stands
    ]
    return {
        **dict(zip(names, places, strict=True)),
        f"P(L_gen < {rounded(known['below']['delta'], 2)} | fit)": with_error(share["estimate"], share["mcse"], 1),
        "Spearman's ρ under the prior": with_error(together["spearman"], together["spearman_mcse"], 1),
        "p of their independence": rounded(together["p_value"], 2),
        **{f"σ₂/σ₁, {name}": rounded(seen[law]["ratio"]["median"], 2) for law, name in
           (("prior", "prior"), ("posterior", "G&C posterior"), ("gd", "GD at equal fit"))},
        "log(σ₁/σ₂) a layer, prior": f"{with_error(gap['mean'], gap['mcse'], 1)}; {rounded(limit)}",
    }  # fmt: skip


@pytest.mark.usefixtures("bare")
def test_every_number_in_the_tables_of_a_result(tmp_path: Path) -> None:
    result = weighted()
    known = entry(result, "", -8.4)
    text, page = page_of(result, tmp_path)
    assert page.table("Losses under each law") == laws_table(known)
    rows = page.table("Where gradient descent stands")
    newman = rows["log(σ₁/σ₂) a layer, prior"]
    newman[0] += f"; {newman[1].split()[0]}"
    assert {name: cells[0] for name, cells in rows.items()} == mechanisms_table(known)
    ours, zero = known["posterior"]["gen_loss"], known["baselines"]["zero"]
    checks = {name: cells[:2] for name, cells in page.table("The checks that suit importance").items()}
    assert checks == {
        "outcome": ["converged", "converged"],
        "relative error of E[L_gen]": [rounded(ours["mcse"] / ours["mean"]), "≤ 0.05"],
        "error of the log volume": ["0.0800", "≤ 0.15"],
        "effective sample size of the weights": ["120", "≥ 100"],
        "Pareto k̂ of the weights": ["0.200", "≤ 0.6"],
        "ε relative to the zero matrix's loss": [rounded(0.0035 / zero["train_loss"]), "≤ 1"],
        "share of the prior that fits": [rounded(math.exp(-8.4)), "≤ 0.5"],
        **{
            f"Pareto k̂ of the {law}'s L_gen": [rounded(known[law]["gen_loss"]["tail"]), "≤ 0.5"]
            for law in ("prior", "posterior")
        },
        "share of the restarts of gradient descent that fitted": ["0.750", "≥ 0.5"],
        "share of the restarts of MAP that fitted": ["0.500", "≥ 0.5"],
    }
    assert len(page.tables) == 3
    said = text.partition('class="answer">')[2].partition("</p>")[0]
    at, gd = known["gd"]["at_eps"], known["gd"]
    for words in (
        *(with_error(known[law]["gen_loss"]["mean"], known[law]["gen_loss"]["mcse"]) for law in ("prior", "posterior")),
        f"predicting zero ({rounded(zero['gen_loss'])})",
        f"training loss {rounded(at['train_loss']['median'], 2)}, "
        f"{rounded(known['posterior']['train_loss']['q50'], 2)} for the posterior",
        *(
            f"{rounded(each['gen_loss']['median'])} {quartiles(each['gen_loss']['q25'], each['gen_loss']['q75'])}"
            for each in (at, gd)
        ),
        f"At its end (training loss {rounded(gd['train_loss']['median'], 2)})",
    ):
        assert words in said
    assert round(math.exp(8.4), -2) == 4400
    assert "log P(fit) = -8.400 ± 0.080, 95 % [-8.56, -8.24]: one in 4 400 prior draws fits" in text


@pytest.mark.usefixtures("bare")
def test_every_number_in_the_tables_of_a_completed_table(tmp_path: Path) -> None:
    result = tree(table_task())
    _, page = page_of(result, tmp_path)
    cells = page.table("Missing cells")
    missing = [("Ada", "age"), ("Bo", "µ"), ("Dé", "mass")]
    assert list(cells) == [row for row, _ in missing]
    for row, col in missing:
        assert cells[row] == [col, *(rounded(number, 4) for number in measured(result, row, col))]
    laws = page.table("Losses under each law")
    descents = {"gd_at_eps": "GD, at ε\n12/12 fitted", "gd": "GD, at its end\n12/12 fitted"}
    rows = {"prior", "G&C posterior\nits median", *descents.values(), "zero", "least squares", "nuclear norm"}
    assert set(laws) == rows
    for law in ("prior", "posterior"):
        train, rank = (flat(result, law, name) for name in ("train_loss", "effective_rank"))
        size = math.sqrt(train.size)
        shown = [with_error(each.mean(), each.std() / size, 1) for each in (train, rank)]
        ends = [np.percentile(each, [25, 50, 75]) for each in (train, rank)]
        ours = law == "posterior"
        below = [f"\n{rounded(mid)}\n{quartiles(low, high)}" if ours else "" for low, mid, high in ends]
        name = f"{LAW_NAMES[law]}\nits median" if ours else LAW_NAMES[law]
        assert laws[name] == [f"{mean}{spread}" for mean, spread in zip(shown, below, strict=True)]
    for group, row in descents.items():
        spreads = [np.percentile(good(result, group, name), [25, 50, 75]) for name in ("train_loss", "effective_rank")]
        assert laws[row] == [f"{rounded(mid)}\n{quartiles(low, high)}" for low, mid, high in spreads]
    targets = result["observed_data"]["y"].values
    assert laws["zero"][0] == rounded(np.mean(targets**2))
    assert laws["least squares"][0] == "0"
    assert laws["nuclear norm"][0] == rounded(0.01 * np.mean(targets**2))  # nine tenths of an exact fit
    checks = {name: cells[0] for name, cells in page.table("The checks that suit splitting").items()}
    assert checks["ε relative to the zero matrix's loss"] == rounded(0.0035 / np.mean(targets**2))


def test_every_number_in_the_tables_of_a_sweep(store: Path, tmp_path: Path) -> None:
    text = write_report(store, tmp_path / "sweep.html").read_text(encoding="utf-8")
    page, cells = Tables(text), xr.open_dataset(store / "sweep.nc", engine="h5netcdf").load()
    laws = ("prior_gen_loss", "posterior_gen_loss", "gd_at_eps_gen_loss")
    for activation in ("linear", "tanh"):
        panel = cells.sel(activation=activation)
        expected = {}
        for depth in (2, 3):
            bands = [over_tasks(panel[law].sel(depth=depth).values) for law in laws]
            shown = ["-" if np.isnan(mid) else f"{rounded(mid)} {quartiles(low, high)}" for low, mid, high in bands]
            expected[str(depth)] = [*shown, rounded(np.nanmedian(panel["log_volume"].sel(depth=depth)))]
        assert page.table(f"{activation}: median") == expected
        gaps = (panel["posterior_gen_loss"].sel(depth=3) - panel["posterior_gen_loss"].sel(depth=2)).values
        change = with_error(gaps.mean(), stats.sem(gaps))
        logs = np.log(panel["posterior_gen_loss"].sel(depth=3) / panel["posterior_gen_loss"].sel(depth=2)).values
        half = stats.t.ppf(0.975, 2) * stats.sem(logs)
        middle, low, high = (rounded(math.exp(logs.mean() + shift)) for shift in (0.0, -half, half))
        factor = f"× {middle}, 95 % {low} to {high}"
        assert page.table("E[L_gen] at the last value")[activation] == [change, factor, "3"]
        assert f"{activation} {factor}" in text
    assert "L_gen of a fit changes, over 3 tasks.</p>" in text
    assert len(page.tables) == 4
    (every,) = [rows for caption, rows in page.tables.items() if caption.startswith("Every cell")]
    table = cells.stack(cell=("activation", "depth", "task_seed"))
    expected = [_row(table.isel(cell=place)) for place in range(12)]
    assert every[1:] == expected
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", text))
    assert facts == {
        "Axes": "activation: linear, tanh; depth: 2, 3; task_seed: 0, 1, 2",
        "Cells": "12: 12 converged",
        "Computing time": f"{cells['seconds'].sum().item():.0f} s",
    }
    assert "Does depth help?" in text
    notes = text.partition(">What to know</h2>")[2].partition("</section>")[0]
    assert "Tiny problems &amp; few draws." in notes
    assert EVIL not in text


def over_tasks(losses: np.ndarray) -> np.ndarray:
    """Quartiles and median of the tasks of which something is known."""
    known = losses[np.isfinite(losses)]
    return np.percentile(known, [25, 50, 75]) if known.size else np.full(3, np.nan)


def _row(cell: xr.Dataset) -> list[str]:
    numbers = {str(name): cell[name].item() for name in cell.data_vars}
    pairs = [(numbers[name], numbers[f"{name}_mcse"]) for name in ("posterior_gen_loss", "log_volume")]
    loss, volume = (with_error(value, error) for value, error in pairs)
    labels = [str(part) for part in cell["cell"].item()]
    descent = (rounded(numbers[name]) for name in ("gd_at_eps_gen_loss", "gd_gen_loss"))
    return [*labels, loss, *descent, volume, "rejection", "converged"]


def under_the_pointer(plot: Any) -> list[dict[str, Any]]:
    """For each thing that shows something when pointed at, the words and columns that it shows."""
    found = []
    figures = [each[0] for each in plot.children] if hasattr(plot, "children") else [plot]
    for tool in (tool for each in figures for tool in each.tools if isinstance(tool, HoverTool)):
        data = tool.renderers[0].data_source.data
        fields = {name for _, text in tool.tooltips for name in re.findall(r"@(\w+)", text)}
        words = {label: text for label, text in tool.tooltips if "@" not in text}
        found.append(words | {name: np.asarray(data[name]) for name in fields})
    return found


def assert_shown(plot: Any, expected: list[dict[str, Any]]) -> None:
    found = under_the_pointer(plot)
    assert [set(each) for each in found] == [set(each) for each in expected]
    for ours, theirs in zip(found, expected, strict=True):
        for name, value in theirs.items():
            if isinstance(value, str) or np.asarray(value).dtype.kind == "U":
                assert np.array_equal(ours[name], value)
            else:
                np.testing.assert_allclose(ours[name], value, rtol=2e-5, atol=1e-12)


def test_hovering_over_the_losses_shows_those_of_the_draws() -> None:
    result = weighted()
    expected = []
    for law in ("prior", "posterior"):
        logs = np.log10(flat(result, law, "gen_loss"))
        edges = np.linspace(logs.min(), logs.max(), 16)  # √240 classes
        place = np.clip(np.searchsorted(edges, logs, "right") - 1, 0, 14)
        shares = 100 * np.array([(place == i).mean() for i in range(15)])
        expected.append({"law": LAW_NAMES[law], "left": 10 ** edges[:-1], "right": 10 ** edges[1:], "share": shares})
    for group, fitted in (("gd_at_eps", 9), ("gd", 9), ("map", 6)):
        marks, last = np.where(np.arange(12) < fitted, "yes", "no"), 9 if group == "gd_at_eps" else 12
        losses = flat(result, group, "gen_loss")[:last]
        expected.append({"restart": np.arange(1, last + 1), "loss": losses, "fitted": marks[:last]})
    zero = entry(result, "", -8.4)["baselines"]["zero"]["gen_loss"]
    points = {"zero = least squares = min. nuclear norm": zero, "chance": 0.08}
    for name, loss in sorted(points.items(), key=lambda item: item[1]):
        expected.append({"name": np.array([name]), "loss": np.array([rounded(loss)])})
    assert_shown(charts.losses_chart(result, result_object(result)), expected)


def test_hovering_over_curve_and_levels_shows_those_of_the_run() -> None:
    known = levels(sensing_task(), 0.0035)
    known = {
        name.replace("primary", "gen_loss"): values[1:] for name, values in vars(known).items()
    }  # without the prior
    expected = [
        {"eps": known["threshold"], "found": known[name], "error": known[f"{name}_mcse"]}
        for name in ("gen_loss", "log_volume")
    ]
    result = tree()
    way = curve(sensing_task())
    on_way = way.threshold[(way.threshold <= 0.3) & (way.threshold >= 0.0035)]
    expected.insert(1, {"eps": on_way, **dict.fromkeys(("low", "middle", "high"), 1.9 * on_way)})
    assert_shown(charts.curve_chart(result), expected)
    expected = [{"threshold": known["threshold"], name: known[name]} for name in ("acceptance", "ancestors")]
    assert_shown(charts.levels_chart(result), expected)


def test_hovering_over_single_draws_and_spectra_shows_them() -> None:
    result = weighted()
    pairs = {law: [flat(result, law, name) for name in ("train_loss", "gen_loss")] for law in ("prior", "posterior")}
    descents = ("gd_at_eps", "gd", "map")
    pairs |= {law: [good(result, law, name) for name in ("train_loss", "gen_loss")] for law in descents}
    expected = [{"law": LAW_NAMES[law], "x": x, "y": y} for law, (x, y) in pairs.items()]
    for each in expected[2:]:
        each["count"] = np.ones(len(each["x"]))
    eps = result.attrs["eps"]
    expected.append({"name": np.array([f"a fit: L_train < {eps:.3g}"]), "told": np.array([rounded(eps)])})
    assert_shown(charts.joint_chart(result), expected)
    expected = []
    for law in ("prior", "posterior", "gd", "map", "truth"):
        group = {"truth": "ground_truth", "gd": "gd_at_eps"}.get(law, law)
        matrices = result[group]["end_to_end"].values.reshape(-1, 4, 3)
        if law in ("gd", "map"):
            matrices = matrices[: 9 if law == "gd" else 6]
        singular = np.linalg.svd(matrices.astype(float), compute_uv=False)
        shares = np.maximum(singular / singular[:, :1], 1e-6)  # less is drawn at it
        low, middle, high = np.percentile(shares, [25, 50, 75], axis=0)
        name = LAW_NAMES["gd_at_eps" if law == "gd" else law]
        expected.append({"law": name, "low": low, "middle": middle, "high": high})
    assert_shown(charts.spectrum_chart(result), expected)


def test_hovering_over_missing_cells_shows_their_quantiles() -> None:
    result = tree(table_task())
    places = (("Ada", "age"), ("Bo", "µ"), ("Dé", "mass"))
    mean, low, high, _ = np.array([measured(result, *place) for place in places]).T
    names = np.array(["Ada · age", "Bo · µ", "Dé · mass"])
    plot = charts.cells_chart(result, result_object(result)["unobserved"])
    # Drawn in standard deviations of a column: its scale is this times √4.
    deviations = np.array([5.0, 0.5, 50.0]) / 2
    drawn = plot.renderers[-1].data_source.data["mean_drawn"]
    np.testing.assert_allclose(drawn, (mean - [10.0, 1.0, 100.0]) / deviations, rtol=2e-5)
    assert_shown(plot, [{"name": names, "mean": mean, "q05": low, "q95": high}])


def test_hovering_over_a_sweep_shows_quartiles_over_its_tasks(store: Path) -> None:
    cells = xr.open_dataset(store / "sweep.nc", engine="h5netcdf").load()
    for panel in load_store(store).panels:
        part = cells.sel(activation=panel.name)
        expected = []
        for law in ("prior", "posterior", "gd_at_eps"):
            losses = part[f"{law}_gen_loss"].transpose("depth", "task_seed").values
            known = np.isfinite(losses).any(axis=1)
            low, middle, high = np.array([over_tasks(row) for row in losses[known]]).reshape(-1, 3).T
            tasks = np.isfinite(losses).sum(axis=1)[known]
            places = np.array(["2", "3"])[known]
            expected.append({
                "law": LAW_NAMES[law], "place": places, "low": low, "middle": middle, "high": high, "tasks": tasks
            })  # fmt: skip
        assert_shown(_chart(panel), expected)
    # Of another panel the numbers are others.
    with pytest.raises(AssertionError):
        assert_shown(_chart(load_store(store).panels[0]), expected)


def test_reference_lines_are_named_in_the_legend() -> None:
    result = weighted()
    losses, joint = charts.losses_chart(result, result_object(result)), charts.joint_chart(result)
    named = [[item.label.value for item in each.legend[0].items] for each in (losses, joint)]
    assert named[0].count("reference points") == 1
    assert f"a fit: L_train < {result.attrs['eps']:.3g}" in named[1]
    above = charts.curve_chart(tree()).children[0][0]
    assert {"G&C posterior", "GD at each threshold"} <= {item.label.value for item in above.legend[0].items}
