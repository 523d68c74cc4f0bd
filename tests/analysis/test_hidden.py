"""Cells that were hidden, and the table filled in: what they say of the posterior beside simple means."""

from __future__ import annotations

import io
import json
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
import xarray as xr
from jsonschema import Draft202012Validator
from records_for_tests import table_task, tree

import bayesgc as gc
from bayesgc.analysis.completed import completed_text
from bayesgc.analysis.hidden import (
    few_cells,
    fewest_covered,
    hidden_dataset,
    hidden_lines,
    hidden_sentence,
    hidden_summary,
)
from bayesgc.analysis.tree.schema import schema
from bayesgc.analysis.words.numerals import rounded
from bayesgc.analysis.words.wording import run_line
from bayesgc.hiding import _in_haste
from bayesgc.inference import Control, Request
from bayesgc.inference.streams import Stream, generator
from bayesgc.task import load
from bayesgc.task.array.imputation import hidden_cells, observed_values, simple_predictions, spread_of, without
from bayesgc.validate import InputError

SOURCE = np.random.default_rng(0)
WHOLE = 5 + np.outer(SOURCE.normal(size=12), [1.0, 10, 2, 5]) + 0.1 * SOURCE.normal(size=(12, 4))
HOLES = SOURCE.random(WHOLE.shape) < 0.15
TABLE = pd.DataFrame(np.where(HOLES, np.nan, WHOLE), columns=list("abcd"), index=[f"r{i}" for i in range(12)])
CPU = torch.device("cpu")
BUDGET = {"eps": "110%", "method": "rejection", "gd": False, "map": False, "draws": 50, "max_evaluations": 100_000}
MODEL = gc.MatrixFactorization(depth=2, width=2, normalize=False)


@pytest.fixture(scope="module")
def result():
    return gc.infer(MODEL, load(TABLE), hide="20%", **BUDGET)


def test_cells_are_hidden_at_random_and_leave_enough() -> None:
    task = load(TABLE)
    one, again, other = (hidden_cells(task, 0.2, generator(s, Stream.HIDDEN, 0, CPU)) for s in (0, 0, 1))
    assert one.tolist() == again.tolist() != other.tolist()
    assert len(one) == int(0.2 * task.measurements.count)
    assert set(one) <= set(task.cells)
    fewer = without(task, hidden_cells(task, 1.0, generator(0, Stream.HIDDEN, 0, CPU)))
    seen = ~np.isnan(observed_values(fewer))
    assert seen.any(axis=1).all()
    assert (seen.sum(axis=0) >= 2).all()


def test_what_is_left_is_scaled_without_what_was_hidden() -> None:
    task = load(TABLE)
    hidden = hidden_cells(task, 0.2, generator(0, Stream.HIDDEN, 0, CPU))
    table = TABLE.copy()
    for cell in hidden:
        table.iloc[divmod(int(cell), 4)] = np.nan
    np.testing.assert_allclose(without(task, hidden).targets, load(table).targets, rtol=1e-10)


def test_simple_means_are_what_they_are_called() -> None:
    found, absent = simple_predictions(load(TABLE))
    assert absent == {}
    np.testing.assert_allclose(found["column_means"][0], TABLE.mean())
    np.testing.assert_allclose(found["least_squares"][HOLES], found["column_means"][HOLES])  # in standard units 0
    np.testing.assert_allclose(found["nearest_neighbours"][~HOLES], WHOLE[~HOLES])
    errors = {name: np.square((each - WHOLE)[HOLES]).mean() for name, each in found.items()}
    assert errors["nearest_neighbours"] < 0.5 * errors["column_means"]  # the table is of rank one
    np.testing.assert_allclose(spread_of(load(TABLE))[0], TABLE.std(ddof=0))
    tensor = np.where(np.arange(12).reshape(3, 2, 2) == 5, np.nan, np.arange(12.0).reshape(3, 2, 2))
    assert "nearest_neighbours" in simple_predictions(load(tensor))[1]


def test_a_simple_prediction_that_was_not_found_in_time_is_left_out() -> None:
    found, absent = simple_predictions(load(TABLE), stop=lambda: True)
    assert set(found) == {"column_means", "nearest_neighbours", "least_squares"}
    assert "not found in time" in absent["nuclear_norm"]


def test_what_is_not_compared_at_hidden_cells_is_told_from_what_has_no_row(result) -> None:
    hidden = gc.result_object(result)["hidden"]
    lines = list(hidden_lines({"hidden": hidden | {"absent": {"nuclear_norm": "not found in time"}}}))
    assert lines[-1] == "Not compared there: nuclear norm (not found in time)."


def test_a_run_says_how_well_it_predicts_what_was_hidden(result) -> None:
    found = gc.result_object(result)["hidden"]
    assert found["cells"] == result["hidden"].sizes["hidden_cell"] == 8
    assert found["second_run"] is True
    assert set(found["error"]) == {"posterior", "column_means", "nearest_neighbours", "least_squares", "nuclear_norm"}
    known = result["hidden"]["known"].values
    np.testing.assert_allclose(known, WHOLE.ravel()[result["hidden"]["cell"].values])
    line = next(hidden_lines(gc.result_object(result)))
    assert line.startswith("Error at 8 observed cells, hidden from a second run, in standard")
    assert "kNN" in line
    assert json.loads(result.attrs["seconds"])["hidden"] > 0


def test_the_second_run_changes_nothing_of_the_first(result) -> None:
    alone = gc.infer(MODEL, load(TABLE), **BUDGET)
    assert gc.result_object(alone)["hidden"] is None
    np.testing.assert_array_equal(alone["posterior"]["end_to_end"], result["posterior"]["end_to_end"])


def test_with_a_truth_the_missing_cells_themselves_tell(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", values=TABLE.to_numpy(), truth=WHOLE)
    found = gc.result_object(gc.infer(MODEL, load(tmp_path / "a.npz"), hide="20%", **BUDGET))["hidden"]
    assert (found["second_run"], found["cells"]) == (False, HOLES.sum())


SAID = {
    "lower": "G&C predicts better here than the best of the simple means (column means, ",
    "higher": "predicts better here than G&C, which adds intervals alone",
    "alike": "predict equally well here",
    "undecided": "These cells cannot tell whether G&C or the best of the simple means (column means, ",
}


@pytest.mark.parametrize(("ours", "judgement"), [(0.1, "lower"), (10.0, "higher"), (1.0, "alike")])
def test_the_judgement_is_of_the_same_cells(ours: float, judgement: str) -> None:
    from xarray import DataTree

    errors = np.random.default_rng(1).normal(size=40)
    data = hidden_dataset(
        np.arange(40), np.arange(40) // 4, np.zeros(40), ours * errors[None], np.ones((1, 1)),
        {"column_means": errors}, np.ones(40), second=True, absent={},
    )  # fmt: skip
    found = hidden_summary(DataTree.from_dict({"hidden": data}))
    assert found["judgement"] == judgement
    assert SAID[judgement] in hidden_sentence(found)
    assert f"error of {rounded(ours * found['error']['column_means'], 2)} standard" in hidden_sentence(found)
    assert found["error"]["posterior"] == pytest.approx(ours * found["error"]["column_means"])


def test_cells_of_one_row_that_are_off_together_do_not_decide() -> None:
    """The control is the same cells as if each were in a row of its own."""
    from xarray import DataTree

    own, other = np.ones(40), np.repeat([0.6, 0.9, 1.2, 2.5, 1.5], 8)
    found = []
    for row in (np.arange(40) // 8, np.arange(40)):
        data = hidden_dataset(
            np.arange(40), row, np.zeros(40), own[None], np.ones((1, 1)), {"column_means": other}, np.ones(40),
            second=True, absent={"nearest_neighbours": "they were not asked"},
        )  # fmt: skip
        found.append(hidden_summary(DataTree.from_dict({"hidden": data})))
    assert [each["judgement"] for each in found] == ["undecided", "lower"]
    assert SAID["undecided"] in hidden_sentence(found[0])
    assert list(hidden_lines({"hidden": found[0]}))[-1] == "Not compared there: kNN (they were not asked)."


def test_a_comparison_that_cannot_be_made_leaves_the_result() -> None:
    """A sparse matrix with an empty column, whose cells share one scale, and a table constant but for a cell."""
    values = TABLE.to_numpy().copy()
    values[:, 1] = np.nan
    found = gc.result_object(gc.infer(MODEL, load(scipy.sparse.coo_array(np.nan_to_num(values))), hide="20%", **BUDGET))
    assert found["hidden"]["error"]["nearest_neighbours"] > 0
    flat = np.zeros((20, 3))
    flat[0, 0], flat[1, 2] = np.nan, 1.0
    seeds = (gc.result_object(gc.infer(MODEL, load(flat), hide="50%", seed=s, **BUDGET)) for s in range(12))
    reasons = [each["reasons"].get("hidden") for each in seeds]
    assert any(reason and "constant" in reason for reason in reasons)


def test_the_verdict_of_a_table_is_of_its_missing_cells(result) -> None:
    found = gc.result_object(result)
    # The threshold of these runs, which are quick, is above the loss of the zero matrix; that is said first.
    assert found["verdict"] == (
        "Predicting zero already passes ε = 0.0916667, so a fit asks for next to nothing here and explains nothing. "
        f"{hidden_sentence(found['hidden'])}. The {HOLES.sum()} missing cells are given with 90 % intervals of the "
        "value as it would be measured."
    )
    assert len(list(hidden_lines(found))) == 2 + len(found["hidden"]["absent"])


def test_hidden_values_reach_nothing_but_the_comparison() -> None:
    """Hidden cells a thousand times as large and of other sign: the second run is the same but for rounding.

    Values come back from a scale that all observed cells have made, to their last digits. ε is a number, as a share
    or the evidence is of all observed cells. The control: a cell that stays changes the run.
    """
    fixed = BUDGET | {"eps": 0.08}
    plain = gc.infer(MODEL, load(TABLE), hide="20%", **fixed)["hidden"].to_dataset()
    hidden = np.unravel_index(plain["cell"].values, TABLE.shape)
    wild, other = TABLE.to_numpy().copy(), TABLE.to_numpy().copy()
    wild[hidden] *= -1e3
    gone = np.stack(hidden, axis=1).tolist()
    seen = next(place for place in np.argwhere(~HOLES).tolist() if place not in gone)
    other[tuple(seen)] += 3.0
    found, control = (
        gc.infer(MODEL, load(pd.DataFrame(each, TABLE.index, TABLE.columns)), hide="20%", **fixed)[
            "hidden"
        ].to_dataset()
        for each in (wild, other)
    )
    for name in ("cell", "spread", "low", "high", "predicted"):
        np.testing.assert_allclose(found[name], plain[name], rtol=1e-6)
    np.testing.assert_allclose(found["known"], -1e3 * plain["known"])
    assert found.attrs["evaluations"] == plain.attrs["evaluations"] > 0
    assert not np.allclose(control["low"], plain["low"], rtol=1e-3)


def test_intervals_of_hidden_cells_are_those_of_a_conjugate_model() -> None:
    """Rows θ_i b with noise σ, b known and θ_i standard normal: what is seen of a row leaves θ_i ~ N(m_i, v_i)."""
    source, sigma, rows, draws = np.random.default_rng(3), 0.5, 60, 4000
    b, truth = source.normal(size=8), source.normal(size=(rows, 1))
    values = truth * b + sigma * source.normal(size=(rows, 8))
    seen, tested = slice(0, 5), slice(5, 8)
    precision = 1 + np.sum(b[seen] ** 2) / sigma**2
    mean = values[:, seen] @ b[seen] / sigma**2 / precision
    theta = mean + source.normal(size=(draws, rows)) / math.sqrt(precision)
    centers = (theta[:, :, None] * b[tested]).reshape(draws, -1)
    known, row = values[:, tested].ravel(), np.repeat(np.arange(rows), 3)
    parts = {"column_means": np.zeros(len(known))}, np.ones(len(known))
    exact, none = (
        hidden_dataset(
            np.arange(len(known)), row, known, centers, np.full((draws, 1), noise), *parts, second=True, absent={}
        )
        for noise in (sigma, 1e-6)
    )
    middle, spread = np.outer(mean, b[tested]).ravel(), np.sqrt(b[tested] ** 2 / precision + sigma**2)
    half = 1.644854 * np.tile(spread, rows)
    # Quantiles of 4000 draws are off by some 0.03 of their spread, of which noise is the larger part.
    np.testing.assert_allclose(exact["low"], middle - half, atol=0.1 * spread.max())
    np.testing.assert_allclose(exact["high"], middle + half, atol=0.1 * spread.max())
    covered, without = (hidden_summary(xr.DataTree.from_dict({"hidden": each}))["covered"] for each in (exact, none))
    # 180 cells, of which three of a row share an error: four binomial standard errors of 0.022 on either side of 0.9.
    assert 0.81 < covered / 180 < 0.99
    assert without / 180 < 0.7  # the negative control: intervals of the noiseless cell


def test_evaluations_of_the_second_run_are_counted_apart(result) -> None:
    found = gc.result_object(result)
    alone = gc.result_object(gc.infer(MODEL, load(TABLE), **BUDGET))
    assert found["diagnostics"]["evaluations"] == alone["diagnostics"]["evaluations"]
    assert found["hidden"]["evaluations"] > 0
    Draft202012Validator(schema("result")).validate(json.loads(json.dumps(found)))


def test_a_table_of_a_few_cells_is_doubted(tmp_path: Path) -> None:
    table = pd.DataFrame(np.where(np.eye(4, 3, dtype=bool) | (np.arange(12).reshape(4, 3) > 9), WHOLE[:4, :3], np.nan))
    few = gc.infer(MODEL, load(table), **BUDGET | {"eps": 0.5})
    said = "only 5 cells are observed: predictions from so few say more of the prior than of the table"
    assert f"Note that {said}." in gc.result_object(few)["verdict"]
    [check] = [each for each in gc.diagnose(few).checks if each.name == "observed cells"]
    assert (check.found, check.limit, check.status) == (5, "≥ 10", "caution")
    assert few_cells({"shape": [30, 20], "measurements": 48}) is not None  # 49 numbers are free at rank one
    assert few_cells({"shape": [30, 20], "measurements": 49}) is None


@pytest.mark.parametrize(("covered", "narrow"), [(11, True), (12, False), (16, False)])
def test_intervals_that_hold_too_few_cells_are_said_to_be_narrow(result, covered: int, narrow: bool) -> None:
    """Of 16 cells in 90 % intervals fewer than 12 are seen one time in sixty."""
    whole = gc.result_object(result)
    found = whole["hidden"] | {"cells": 16, "covered": covered}
    said = "where 14 were expected: the intervals look too narrow"
    assert (said in hidden_sentence(found)) is narrow
    assert any(said in line for line in hidden_lines(whole | {"hidden": found})) is narrow
    assert fewest_covered(16, 0.9) == 12
    assert fewest_covered(100_000, 0.9) == pytest.approx(90_000 - 1.645 * math.sqrt(9000), abs=2)


def test_a_second_run_of_a_few_draws_is_no_comparison() -> None:
    few = BUDGET | {"draws": 5}
    found = gc.result_object(gc.infer(MODEL, load(TABLE), hide="20%", **few))
    assert (found["hidden"], "fewer than 100 draws" in found["reasons"]["hidden"]) == (None, True)
    assert f"is not known here, without a comparison on hidden cells ({found['reasons']['hidden']})" in found["verdict"]


@pytest.mark.parametrize("seconds", [600.0, None])
def test_time_that_was_kept_for_no_comparison_is_told(seconds: float | None) -> None:
    """Control: without a limit of time none is kept."""
    nothing = BUDGET | {"eps": 1e-9, "max_evaluations": 20_000, "max_seconds": seconds}
    reason = gc.result_object(gc.infer(MODEL, load(TABLE), hide="20%", **nothing))["reasons"]["hidden"]
    assert reason.startswith("the run has no posterior to compare")
    assert ("`hide=0` gives it the 25% of the time that were kept for this" in reason) is (seconds is not None)


@pytest.mark.parametrize(("eps", "width", "told"), [("evidence", 2, True), ("evidence", 1, False), (1e-9, 2, False)])
def test_a_threshold_of_the_data_that_is_out_of_reach_is_looser_for_a_narrower_model(eps, width: int, *, told: bool):
    nothing = BUDGET | {"eps": eps, "method": "splitting", "max_evaluations": 100_000}
    model = gc.MatrixFactorization(depth=2, width=width, normalize=False)
    found = gc.infer(model, load(TABLE), **nothing)
    assert found.attrs["outcome"] == "exhausted"
    assert ("such as `width=1`" in found.attrs["message"]) is told


def test_the_time_of_the_second_run_is_counted_whether_it_came_to_an_end_or_not(result) -> None:
    few = gc.result_object(gc.infer(MODEL, load(TABLE), hide="20%", **BUDGET | {"draws": 5}))
    for found in (few, gc.result_object(result)):
        seconds = found["seconds"]
        assert seconds["total"] >= seconds["sampling"] + seconds["hidden"]
        found["seconds"] |= {"total": 9.0, "hidden": 2.0}
        assert run_line(found).endswith("in 9.0 s, 2.0 s of it for hidden cells")


@pytest.mark.parametrize(("seconds", "asked", "precision"), [
    (None, None, None), (6.0, None, None), (4.0, None, 0.1), (4.0, 0.01, 0.1), (4.0, 0.2, 0.2),
])  # fmt: skip
def test_a_second_run_with_less_time_than_the_first_took_is_less_precise(
    seconds: float | None, asked: float | None, precision: float | None
) -> None:
    from xarray import DataTree

    first = DataTree()
    first.attrs["seconds"] = json.dumps({"sampling": 5.0})
    assert _in_haste(Request(precision=asked), first, Control(seconds)).precision == precision


def test_what_cannot_be_hidden_is_refused() -> None:
    with pytest.raises(InputError, match="at most 50%"):
        gc.infer(MODEL, load(TABLE), hide=0.6, **BUDGET)
    with pytest.raises(InputError, match="`hide` is for a table"):
        gc.infer(MODEL, gc.completion(rows=4, cols=4, seed=0), hide="10%", **BUDGET)


def test_the_completed_table_keeps_what_was_seen_and_has_intervals(result) -> None:
    table = gc.completed(result)
    names = [f"{name}_{end}" for name in "abcd" if TABLE[name].isna().any() for end in ("low", "high")]
    assert table.columns.tolist() == [*"abcd", *names]
    np.testing.assert_allclose(table[list("abcd")].to_numpy()[~HOLES], WHOLE[~HOLES], rtol=1e-11)
    cells = gc.predict(result)
    np.testing.assert_allclose(table[list("abcd")].to_numpy()[HOLES], cells["mean"].values[HOLES])
    for name in names:
        column, end = name.split("_")
        empty = table[name].isna().to_numpy()
        np.testing.assert_array_equal(empty, ~TABLE[column].isna())
        np.testing.assert_allclose(table[name][~empty], cells[end].sel(col=column).values[~empty])
    again = pd.read_csv(io.StringIO(completed_text(result)), index_col="row")
    pd.testing.assert_frame_equal(again, table, check_names=False, rtol=0, atol=1e-3)
    texts = pd.read_csv(io.StringIO(completed_text(result)), index_col="row", dtype=str)
    written = [*texts[names].to_numpy().ravel(), *texts[list("abcd")].to_numpy()[HOLES]]
    assert all(len(re.sub(r"\D", "", cell).lstrip("0")) <= 7 for cell in written if isinstance(cell, str))


def test_a_tensor_is_completed_one_cell_a_line() -> None:
    values = np.where(np.arange(12).reshape(3, 2, 2) == 5, np.nan, np.arange(12.0).reshape(3, 2, 2))
    model = gc.CPFactorization(depth=2, width=2, normalize=False)
    table = gc.completed(gc.infer(model, load(values), **BUDGET))
    assert table.columns.tolist() == ["mode1", "mode2", "mode3", "value", "low", "high"]
    assert table["low"].notna().tolist() == [i == 5 for i in range(12)]


def test_measured_values_suggest_their_own_threshold(tmp_path: Path) -> None:
    found = gc.infer(MODEL, load(TABLE), gd=False, draws=20, chains=2, max_evaluations=4_000_000)
    assert 0 < found.attrs["eps"] < 0.2 * load(TABLE).zero_train_loss
    assert json.loads(found.attrs["configuration"])["method"]["name"] == "splitting"
    assert "measured values hold noise" in json.loads(found.attrs["reasons"])["map"]


def hidden_of(off: np.ndarray, first: int = 0) -> xr.Dataset:
    """Forty cells in ten rows, whose values are 0 and are missed by so much; column means miss them by 1."""
    known = np.zeros(40)
    cells = np.arange(first, first + 40)
    draws = off + np.random.default_rng(9).normal(0, 0.1, (50, 40))
    others = {"column_means": np.ones(40)}
    return hidden_dataset(
        cells, np.arange(40) // 4, known, draws, np.zeros((50, 1)), others, np.ones(40), second=True, absent={}
    )


def table_result() -> xr.DataTree:
    return tree(table_task(), with_gd=False)


@pytest.mark.parametrize(
    ("off", "sentence"),
    [
        (1e-2, "Predicts the 40 hidden cells better: b, than a."),
        (10.0, "Predicts the 40 hidden cells worse: b, than a."),
        (1.0, "Predict the 40 hidden cells equally well: b and a."),
    ],
)
def test_two_tables_are_compared_at_the_cells_that_both_hid(off: float, sentence: str) -> None:
    base, other, plain = table_result(), table_result(), np.random.default_rng(0).normal(0, 0.5, 40)
    base["hidden"], other["hidden"] = (xr.DataTree(hidden_of(each)) for each in (plain, off * plain))
    comparison = gc.compare({"a": base, "b": other})
    text = " ".join(str(comparison).split())
    assert sentence in text
    assert f"a {comparison.results[0]['hidden']['error']['posterior']:.3f} column means 1.00" in text
    assert "L_gen" not in text
    Draft202012Validator(schema("comparison")).validate(json.loads(json.dumps(comparison.to_dict())))


def test_other_hidden_cells_are_not_compared() -> None:
    base, other = table_result(), table_result()
    base["hidden"], other["hidden"] = (xr.DataTree(hidden_of(np.full(40, 0.1), first)) for first in (0, 1))
    [found] = gc.compare({"a": base, "b": other}).differences
    assert (found["hidden"]["same_cells"], found["hidden"]["judgement"]) == (False, None)
    assert "were different cells" in " ".join(str(gc.compare({"a": base, "b": other})).split())
    assert gc.compare({"a": base, "b": table_result()}).differences[0]["hidden"] is None
