"""Each method's own checks: healthy results pass, each fault is named, and particles get no chain diagnostics."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from jsonschema import Draft202012Validator
from records_for_tests import (
    CHAINS,
    DRAWS,
    RESTARTS,
    configuration,
    descent,
    draws,
    levels,
    mode,
    run,
    sensing_task,
    tree,
)
from rich.console import Console

import bayesgc as gc
from bayesgc.analysis import checks
from bayesgc.analysis.diagnose import LOG_VOLUME_ERROR, Diagnosis, diagnose
from bayesgc.analysis.tree.schema import schema
from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.words.reliance import diagnosis_table, reliance
from bayesgc.inference import NUTS, MaximumAPosteriori, mixing, request
from bayesgc.inference.records import Estimate, Outcome, Summary
from bayesgc.settings import Settings
from bayesgc.verification import Check

CHAIN_WORDS = ("R̂", "effective sample size", "divergent", "autocorrelation")


def made_by(method: str, diagnostics: dict[str, Any], **changes: Any) -> xr.DataTree:
    task = sensing_task()
    posterior = changes.pop("posterior", draws(task, 0.08, 11))
    posterior.summaries["gen_loss"] = Summary(0.01, 0.01, changes.pop("mcse", 1e-4), 0.001, 0.01, 0.02)
    record = dataclasses.replace(run(task, posterior=posterior), method=method, diagnostics=diagnostics, **changes)
    return tree(task, run=record)


def from_islands(log_volumes: list[float], **changes: Any) -> xr.DataTree:
    posterior = draws(sensing_task(), 0.08, 11)
    count = len(log_volumes)
    island = torch.arange(CHAINS * DRAWS).reshape(CHAINS, DRAWS) % count
    posterior.sample_stats.update(island=island, island_log_volume=torch.tensor(log_volumes).double()[island])
    found = {"islands": count, "islands_lost": changes.pop("lost", 0), "acceptance": 0.25, "ancestors": 200.0}
    if "least" in changes:
        found["least_visible_mode"] = changes.pop("least")
    return made_by("splitting", found, posterior=posterior, **changes)


WEIGHTS = {"effective_sample_size": 800.0, "pareto_k": 0.3, "pareto_k_limit": 0.7}
FEW = WEIGHTS | {"effective_sample_size": 40.0}
CHAINED = {"draws": 250, "r_hat": 1.002, "ess_bulk": 900.0, "ess_tail": 700.0, "divergences": 0}
EVEN = [0.1 * (i % 4) for i in range(16)]


def wrong(result: xr.DataTree) -> list[str]:
    return [check.name for check in diagnose(result).checks if check.status == "wrong"]


@pytest.mark.parametrize(
    "result",
    [
        made_by("importance", WEIGHTS),
        made_by("nuts", CHAINED),
        made_by("rejection", {"accepted": 500, "draws": 10**6}),
        from_islands(EVEN),
    ],
)
def test_healthy_results_pass_and_obey_the_schema(result: xr.DataTree) -> None:
    diagnosis = diagnose(result)
    assert diagnosis.healthy, diagnosis
    assert all(not check.advice for check in diagnosis.checks if check.status == "fine")
    Draft202012Validator(schema("diagnosis")).validate(json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False)))
    assert max(map(len, str(diagnosis).splitlines())) <= 80


@pytest.mark.parametrize(
    ("asked", "ran", "wanted"), [(None, "importance", 0.01), (0.2, "importance", 0.2), (None, "splitting", 0.05)]
)
def test_what_was_asked_has_the_defaults_of_the_method_that_ran(asked: float | None, ran: str, wanted: float) -> None:
    model, wish = gc.MatrixFactorization(depth=2, width=3, normalize=False), request.Request(precision=asked, draws=20)
    settings = Settings.checked(model, sensing_task(), "50%", "auto", False, False, "cpu", "float32", wish)
    assert settings.filled(ran) == {"precision": wanted, "chains": 16, "draws": 20}


def test_the_limit_of_the_error_is_what_was_asked() -> None:
    model = gc.MatrixFactorization(depth=2, width=3, normalize=False)
    settings = {"method": "rejection", "gd": False, "map": False, "chains": 2, "draws": 20}
    result = gc.infer(model, sensing_task(), eps="90%", **settings)
    filled = json.loads(result.attrs["configuration"])["filled"]
    assert filled == {"precision": 0.05, "chains": 2, "draws": 20}
    for precision in (0.05, 0.03):
        changed = json.loads(result.attrs["configuration"]) | {"filled": filled | {"precision": precision}}
        result.attrs["configuration"] = json.dumps(changed)
        (check,) = [each for each in diagnose(result).checks if each.name == "relative error of E[L_gen]"]
        assert check.limit == f"≤ {precision}"


@pytest.mark.parametrize(
    ("result", "name", "advice"),
    [
        (made_by("importance", WEIGHTS | {"pareto_k": 0.71}), "Pareto k̂ of the weights", "splitting"),
        (made_by("importance", FEW), "effective sample size of the weights", "few"),
        (made_by("nuts", CHAINED | {"r_hat": 1.03}), "R̂, the worst", "importance"),
        (made_by("nuts", CHAINED | {"r_hat": math.nan}), "R̂, the worst", "importance"),
        (made_by("nuts", CHAINED | {"ess_tail": 399.0}), "effective sample size in the tails", "`draws`"),
        (made_by("nuts", CHAINED | {"divergences": 11}), "share of divergent transitions", "target_accept"),
        (made_by("rejection", {"accepted": 20, "draws": 10**6}), "accepted draws", "splitting"),
        (from_islands([0.0] * 6), "effective number of islands", "`chains`"),
        (from_islands([3.0, *[0.0] * 15]), "effective number of islands", "`chains`"),
        (from_islands([1.5 * (i % 3) for i in range(60)]), "spread of the log volume between islands", "moves"),
        (from_islands(EVEN, mcse=1e-3), "relative error of E[L_gen]", "`max_seconds`"),
        (from_islands(EVEN, log_volume=Estimate(-8.0, 0.2, (-8.4, -7.6))), "error of the log volume", "`max_seconds`"),
        (from_islands(EVEN, outcome=Outcome.EXHAUSTED, message="Raise the budget."), "outcome", "Raise the budget"),
    ],
)  # fmt: skip
def test_each_fault_is_wrong_and_says_what_to_do(result: xr.DataTree, name: str, advice: str) -> None:
    assert wrong(result) == [name]
    assert advice in next(check.advice for check in diagnose(result).checks if check.name == name)
    assert not diagnose(result).healthy


def test_stuck_particles_and_few_ancestors_are_seen_at_the_worst_level() -> None:
    still = levels(sensing_task(), 0.0035)
    still.acceptance[3] = 0.01
    still.ancestors[-1] = 2
    found = {check.name: check.status for check in diagnose(from_islands(EVEN, levels=still)).checks}
    assert found["accepted moves on the worst level"] == "wrong"
    assert found["ancestors of an island"] == "caution"


def test_no_chain_diagnostics_on_particles() -> None:
    names = [check.name for check in diagnose(from_islands(EVEN)).checks]
    assert not [name for name in names if any(word in name for word in CHAIN_WORDS)]


@pytest.mark.parametrize(
    ("least", "log_volume", "status"),
    [(5e-6, -13.0, "fine"), (2e-4, -13.0, "caution"), (2e-4, -2.0, "fine"), (0.9, -13.0, "caution")],
)
def test_the_rarest_mode_that_shows_is_said(least: float, log_volume: float, status: str) -> None:
    """Of a large volume a mode that is rarer than its error changes nothing."""
    volume = Estimate(log_volume, 0.01, (log_volume - 0.02, log_volume + 0.02))
    result = diagnose(from_islands(EVEN, least=least, log_volume=volume))
    [check] = [check for check in result.checks if check.name == "prior probability of a mode that shows"]
    assert (check.found, check.status) == (pytest.approx(least), status)
    assert ("`max_evaluations`" in check.advice) == (status == "caution")
    assert result.healthy


def test_cautions_do_not_make_a_result_wrong() -> None:
    loose = from_islands(EVEN, lost=1, log_volume=Estimate(-0.1, 0.01, (-0.12, -0.08)))
    assert {c.name for c in diagnose(loose).checks if c.status == "caution"} == {
        "islands lost",
        "share of the prior that fits",
    }
    assert diagnose(loose).healthy
    mind = "This result can be relied on, but mind: islands lost; share of the prior that fits"
    assert reliance(diagnose(loose)) == mind


@pytest.mark.parametrize("settled", [True, False])
def test_of_an_epsilon_that_is_too_loose_no_larger_one_is_advised(settled: bool) -> None:
    """The zero matrix passes and the errors are large: both ask for one thing, time, or both for another, a lower ε."""
    loose = from_islands(EVEN, log_volume=Estimate(-0.1, 0.5, (-1.1, -0.01)))
    loose.attrs |= {"eps": 1e3, "outcome": "exhausted", "message": Outcome.EXHAUSTED.advice}
    loose.attrs["configuration"] = json.dumps(configuration(sensing_task()) | {"settled": settled})
    loose["levels"]["acceptance"].values[:] = 0.001
    advice = [check.advice for check in diagnose(loose).checks if check.advice]
    assert len(advice) >= 4
    assert not any(word in each for each in advice for word in ("larger `eps`", "loosen", "raise `eps`"))
    assert sum("lower `eps`" in each for each in advice) == (2 if settled else 0)
    assert sum("in which a smaller ε is found" in each for each in advice) == (0 if settled else 2)
    # The control: where ε is tight, a larger one is a remedy.
    loose.attrs |= {"eps": 1e-6, "configuration": json.dumps(configuration(sensing_task()))}
    loose.attrs["log_volume"] = -5.0
    tight = [check.advice for check in diagnose(loose).checks]
    assert sum("larger `eps`" in each or "loosen" in each for each in tight) >= 3


def test_restarts_are_counted_and_nothing_else_is_said_of_them() -> None:
    result = tree(gd=descent(sensing_task(), 0.01, converged=3))
    found = [check for check in diagnose(result).checks if "restarts" in check.name]
    assert [(check.found, check.status) for check in found] == [(0.25, "caution")]


def test_restarts_that_diverged_take_a_smaller_step_and_not_more_of_them() -> None:
    gone = dataclasses.replace(descent(sensing_task(), 0.01, converged=3), diverged=torch.arange(RESTARTS) >= 3)
    result = tree(gd=gone)
    found = {check.name: check for check in diagnose(result).checks if "gradient descent" in check.name}
    assert found["restarts of gradient descent that diverged"].found == RESTARTS - 3
    for check in found.values():
        assert "lower `gd_lr`" in check.advice
        assert "raise `gd_steps`" not in check.advice
    assert f"{RESTARTS - 3} of {RESTARTS} restarts" in result_object(result)["reasons"]["gd_diverged"]


def test_advice_for_restarts_names_what_their_search_takes() -> None:
    task = sensing_task()
    result = tree(gd=descent(task, 0.01, converged=3), mode=mode(task, converged=3))
    advice = [check.advice for check in diagnose(result).checks if "restarts" in check.name]
    assert ["`gd_lr`" in each for each in advice] == [True, False]
    assert "MaximumAPosteriori(chill=200)" in advice[1]
    assert MaximumAPosteriori().chill < 200


def test_limits_are_those_that_the_methods_themselves_use() -> None:
    assert (checks.HIGHEST_R_HAT, checks.LEAST_SIZE) == (mixing.HIGHEST_R_HAT, mixing.LEAST_SIZE)
    assert NUTS().most_divergent == checks.MOST_DIVERGENT
    assert LOG_VOLUME_ERROR == request.LOG_VOLUME_ERROR


def advice_of(result: xr.DataTree) -> dict[str, str]:
    return {check.name: check.advice for check in diagnose(result).checks if check.status != "fine"}


def test_an_interrupted_run_is_to_be_run_again_and_not_given_more_time() -> None:
    nothing = tree(
        accepted=False, outcome=Outcome.INTERRUPTED, with_gd=False, reasons={"gd": "the run was interrupted"}
    )
    kept = "The run was interrupted; what had been found is kept. Run it again and let it end."
    again = "Run it again and let it end."
    assert advice_of(nothing) == {"outcome": kept, "draws that fit": again, "error of the log volume": again}
    some = from_islands(EVEN, mcse=1.0, outcome=Outcome.INTERRUPTED, log_volume=Estimate(-8.0, 0.4, (-9.0, -7.0)))
    some.attrs["message"] = Outcome.INTERRUPTED.advice
    assert advice_of(some) == {"outcome": kept, "relative error of E[L_gen]": again, "error of the log volume": again}


def test_where_no_fit_is_possible_more_time_is_not_advised() -> None:
    found = advice_of(tree(accepted=False, outcome=Outcome.INFEASIBLE, reasons={"gd": "the run was infeasible"}))
    assert list(found) == ["outcome"]


def test_what_was_not_found_is_said_to_be_missing() -> None:
    found = advice_of(tree(accepted=False, outcome=Outcome.EXHAUSTED))
    assert "No draw fitted, so there is no posterior" in found["draws that fit"]
    assert found["error of the log volume"].startswith("Only a bound is known.")
    settings = configuration(sensing_task()) | {"gd": {"optimizer": "adam"}}
    reason = "its gradients would not fit into memory"
    absent = tree(with_gd=False, configuration=settings, reasons={"gd": reason})
    assert advice_of(absent)["gradient descent"] == f"There is nothing to compare with: {reason}."
    Draft202012Validator(schema("diagnosis")).validate(diagnose(absent).to_dict())
    assert "gradient descent" not in advice_of(tree(with_gd=False, reasons={"gd": "it was turned off"}))


@pytest.mark.parametrize(("size", "normalize", "left"), [(3.0, True, 4 / 9), (1.05, True, None), (3.0, False, None)])
def test_data_that_norm_one_cannot_reach_are_doubted(size: float, normalize: bool, left: float | None) -> None:
    """Cells of norm N leave (1 − 1/N)² of their squares; the controls are near the norm, or not bound to it."""
    cells = np.random.default_rng(0).normal(size=(4, 3))
    cells[0, 0] = np.nan
    task = gc.load(size * cells / np.sqrt(np.nansum(cells**2)), standardize=False)
    model = gc.MatrixFactorization(depth=2, width=2, normalize=normalize)
    result = gc.infer(model, task, eps="99%", method="rejection", gd=False, map=False, max_evaluations=2**13)
    found, said = result_object(result), "`normalize=False`"
    names = [each.name for each in diagnose(result).checks if each.status == "caution" and said in each.advice]
    assert names == (["share of the data that the norm 1 leaves unexplained"] if left else [])
    assert (f"leaves at least {100 * (left or 0):.2g} % of the data unexplained" in found["verdict"]) == bool(left)
    assert found["diagnostics"].get("left_by_norm") == (None if left is None else pytest.approx(left))


@pytest.mark.parametrize(
    ("found", "shown"), [(200.0, "200"), (15.6, "15.6"), (0.0, "0"), (3e7, "3.0e+07"), (None, "-"), ("converged",) * 2]
)
def test_counts_have_no_decimals_and_measures_have(found, shown) -> None:
    table = diagnosis_table(Diagnosis("splitting", "converged", (Check("it", found, "≤ 1", "fine", ""),)))
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(table)
    [line] = [each for each in console.export_text().splitlines() if " it " in each]
    assert line.split()[2] == shown
