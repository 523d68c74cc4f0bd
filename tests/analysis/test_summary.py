from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from records_for_tests import RESTARTS, descent, draws, mode, run, sensing_task, table_task, tree

import bayesgc.task as tasks
from bayesgc.analysis.predictive import predict
from bayesgc.analysis.tree.datatree import load, save
from bayesgc.analysis.tree.schema import result_schema
from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.words.sentences import volume_lines
from bayesgc.analysis.words.wording import law_rows
from bayesgc.inference.records import Estimate, Outcome, Reached, Run


def validator() -> jsonschema.Draft202012Validator:
    jsonschema.Draft202012Validator.check_schema(result_schema())
    return jsonschema.Draft202012Validator(result_schema())


def full_task() -> tasks.ArrayTask:
    """Every entry is measured: nothing is held out."""
    return tasks.sensing(rows=3, cols=2, rank=1, measurements=6, seed=2)


def short() -> Run:
    """A run that did not reach its ε, with the posterior at the lowest threshold that it did reach."""
    missed = run(sensing_task(), posterior=None, outcome=Outcome.EXHAUSTED)
    law = draws(sensing_task(), 0.08, 11)
    return dataclasses.replace(missed, reached=Reached(0.25, law, Estimate(-4.2, 0.1, (-4.4, -4.0))))


CASES: dict[str, dict[str, Any]] = {
    "sensing": {},
    "table": {"task": table_task()},
    "nothing accepted": {"accepted": False, "outcome": Outcome.EXHAUSTED},
    "short of eps": {"run": short()},
    "no descent": {"with_gd": False},
    "no restart fitted": {"gd": descent(sensing_task(), 0.01, converged=0)},
    "mode": {"mode": mode(sensing_task())},
    "mode of a table": {"task": table_task(), "mode": mode(table_task())},
    "no mode fitted": {"mode": mode(sensing_task(), converged=0)},
    "no references": {"references": {}},
    "nothing held out": {"task": full_task()},
}


@pytest.mark.parametrize("case", CASES)
def test_every_result_obeys_the_schema_and_is_the_same_from_its_file(case: str, tmp_path: Path) -> None:
    result = tree(**CASES[case])
    found = result_object(result)
    validator().validate(json.loads(json.dumps(found, allow_nan=False)))
    assert result_object(load(save(result, tmp_path / "result.nc"))) == found


def test_what_was_reached_short_of_eps_is_there_beside_no_posterior() -> None:
    result = result_object(tree(run=short()))
    assert result["posterior"] is None
    assert result["log_volume"]["estimate"] is None
    assert result["reached"]["eps"] == 0.25
    assert result["reached"]["log_volume"] == {"estimate": -4.2, "mcse": 0.1, "ci95": [-4.4, -4.0]}
    wanted = vars(draws(sensing_task(), 0.08, 11).summaries["gen_loss"])
    assert {name: result["reached"]["posterior"]["gen_loss"][name] for name in wanted} == wanted
    assert result_object(tree())["reached"] is None
    [row] = [row for row in law_rows(result) if "L_train" in row.name]
    assert row.name == "where L_train\n< 0.25"
    assert any(line.startswith("log P(L_train < 0.25) = -4.2") for line in volume_lines(result))


def test_the_schema_rejects_what_is_not_a_result() -> None:
    good = result_object(tree())
    for change in ({"outcome": "perfect"}, {"extra": 1}, {"schema": 2}, {"eps": None}, {"prior": {"gen_loss": 1.0}}):
        assert not validator().is_valid({**good, **change})
    del good["posterior"]
    assert not validator().is_valid(good)


def test_numbers_are_those_of_the_records() -> None:
    task = sensing_task()
    result = result_object(tree(task))
    summary = draws(task, 0.08, 11).summaries["gen_loss"]
    assert result["posterior"]["gen_loss"].items() >= vars(summary).items()
    assert result["log_volume"] == {"estimate": -8.4, "mcse": 0.08, "ci95": [-8.57, -8.23]}
    assert result["log_evidence"] is None
    assert result["seed"] == 2**70
    assert result["task"] == {
        "rank": 1, "seed": 1, "kind": "sensing", "shape": [4, 3], "measurements": 7, "held_out": 5, "truth_known": True
    }  # fmt: skip
    assert result["baselines"]["zero"] == pytest.approx(
        {"gen_loss": task.zero_gen_loss, "train_loss": task.zero_train_loss}
    )
    assert result["baselines"]["chance"] == {"gen_loss": 0.08, "train_loss": None}
    assert result["diagnostics"] == {
        "evaluations": 1_234_567,
        "islands": 16,
        "angle": 0.3,
        "lost": None,
        "kernel": "pcn",
    }
    assert result["seconds"] == {"total": 5.0, "sampling": 3.25, "gd": 1.5, "map": None}


def test_descent_counts_only_restarts_that_fitted() -> None:
    task = sensing_task()
    record = descent(task, 0.01, converged=5)
    gd = result_object(tree(task, gd=record))["gd"]
    values = record.quantities["gen_loss"][:5].double().numpy()
    assert (gd["restarts"], gd["converged"]) == (RESTARTS, 5)
    assert gd["gen_loss"]["median"] == pytest.approx(np.median(values))
    assert gd["gen_loss"]["q75"] == pytest.approx(np.quantile(values, 0.75))
    assert result_object(tree(task, gd=descent(task, 0.01, converged=0)))["gd"]["gen_loss"] is None


def test_the_best_mode_is_the_most_probable_of_those_that_fitted() -> None:
    task = sensing_task()
    record = mode(task, converged=2)
    found = result_object(tree(task, mode=record))["map"]
    assert (found["restarts"], found["converged"]) == (RESTARTS, 2)
    assert found["energy"] == {"median": 7.25, "q25": 7.125, "q75": 7.375, "best": 7.0}
    assert found["best"]["gen_loss"] == pytest.approx(float(record.quantities["gen_loss"][1]))
    none = result_object(tree(task, mode=mode(task, converged=0)))["map"]
    assert (none["energy"], none["best"], none["gen_loss"]) == (None, None, None)


def test_missing_cells_come_with_labels_and_intervals_in_the_tables_units() -> None:
    task = table_task()
    result = result_object(tree(task))
    assert [(cell["row"], cell["col"]) for cell in result["unobserved"]] == [
        ("Ada", "age"),
        ("Bo", "µ"),
        ("Dé", "mass"),
    ]
    assert task.units is not None
    values = task.units.to_units(draws(task, 0.08, 11).end_to_end.double().numpy())[..., 0, 1]
    cell = result["unobserved"][0]
    assert cell["mean"] == pytest.approx(values.mean())
    # Those of `predict`, with noise of the size of the residuals: not the quantiles of the draws alone.
    predicted = predict(tree(task), level=0.9).sel(row="Ada", col="age")
    assert (cell["q05"], cell["q95"]) == pytest.approx((float(predicted["low"]), float(predicted["high"])))
    assert cell["q95"] - cell["q05"] > 1.05 * np.ptp(np.quantile(values, [0.05, 0.95]))
    assert result["unobserved_intervals"] == {
        "kind": "measured",
        "meaning": "of the value as it would be measured",
        "level": 0.9,
    }
    assert result["posterior"]["gen_loss"] is None
    assert result_object(tree(task, accepted=False))["unobserved"] is None
    assert result_object(tree())["unobserved"] is None
    assert result_object(tree())["unobserved_intervals"] is None


def test_intervals_at_an_exact_fit_are_of_the_noiseless_cell_and_say_so() -> None:
    task = table_task()
    result = tree(task)
    result.attrs["eps"] = 0.0
    found = result_object(result)
    validator().validate(found)
    assert (found["unobserved_intervals"]["kind"], found["unobserved_intervals"]["meaning"]) == (
        "noiseless",
        "of the noiseless cell",
    )
    # Whatever rounding left of the training losses.
    values = result["posterior"]["end_to_end"].values[..., 0, 1].astype(float)
    cell = found["unobserved"][0]
    assert [cell[name] for name in ("q05", "q50", "q95")] == pytest.approx(
        np.quantile(values, [0.05, 0.5, 0.95]).tolist()
    )
    assert cell["sd"] == pytest.approx(values.std())
    assert "of the noiseless cell" in found["verdict"]


def test_cells_are_told_apart_by_their_places_where_labels_are_alike() -> None:
    task = dataclasses.replace(table_task(), coords={"row": ["same"] * 4, "col": ["mass", "age", "µ"]})
    found = result_object(tree(task))
    validator().validate(found)
    assert [(cell["row"], cell["index"]) for cell in found["unobserved"]] == [
        ("same", [0, 1]),
        ("same", [1, 2]),
        ("same", [3, 0]),
    ]


def test_nothing_accepted_leaves_an_upper_bound() -> None:
    result = result_object(tree(accepted=False))
    assert result["posterior"] is None
    assert result["log_volume"] == {"estimate": None, "mcse": None, "ci95": [None, -12.0]}


def test_a_volume_without_any_bound_is_null_inside_and_evidence_stands_alone() -> None:
    task = sensing_task()
    record = run(task, posterior=None)
    unknown = dataclasses.replace(record, log_volume=Estimate(None, None, (None, np.inf)))
    assert result_object(tree(task, run=unknown))["log_volume"] == {
        "estimate": None,
        "mcse": None,
        "ci95": [None, None],
    }
    exact = dataclasses.replace(record, log_volume=None, log_evidence=Estimate(1.5, 0.02, (1.46, 1.54)), eps=0.0)
    result = result_object(tree(task, run=exact))
    assert result["log_volume"] is None
    assert result["log_evidence"] == {"estimate": 1.5, "mcse": 0.02}
