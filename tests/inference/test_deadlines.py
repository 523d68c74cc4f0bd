"""One deadline for every part of a run, looked at inside of blocks: by a clock that advances with each look at it."""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from problems import criterion

import bayesgc as gc
from bayesgc.analysis.tree.summary import result_object
from bayesgc.api import infer_together
from bayesgc.inference import (
    NUTS,
    SGD,
    Control,
    Criterion,
    GradientDescent,
    Importance,
    MaximumAPosteriori,
    Outcome,
    Rejection,
    Request,
    Splitting,
    draw_prior,
)
from bayesgc.inference.collapsed.noise import likeliest_threshold
from bayesgc.inference.control import OutOfTime
from bayesgc.models import MLP, MatrixFactorization
from bayesgc.models.factorization.collapse import collapse
from bayesgc.searches import _in_time
from bayesgc.settings import Settings
from bayesgc.task import Reference, classification, sensing
from bayesgc.task.array import references
from bayesgc.task.array.references import reference_points

TASK = sensing(3, 3, 1, 4, seed=1)
MODEL = MatrixFactorization(depth=2, width=4, normalize=False)


@dataclass
class Ticking(Control):
    """A clock that shows one second more at each look: ``max_seconds`` is then how often a run may look."""

    looks: list[int] = field(default_factory=lambda: [0])

    @property
    def seconds(self) -> float:
        self.looks[0] += 1
        return float(self.looks[0])

    def part(self, kept_back: float = 0.0) -> Ticking:
        """It goes on with the same clock."""
        most = self.max_seconds
        return replace(self, max_seconds=None if most is None else (1 - kept_back) * most)


def collapsed_criterion(eps: float, control: Control):
    collapsed = collapse(MODEL, TASK.shape)
    return replace(criterion(MODEL, TASK, eps), collapsed=collapsed, check=control.check)


def test_a_part_has_what_is_left_but_for_what_is_kept_back():
    control = Ticking(max_seconds=100.0, looks=[59])
    part = Control.part(control, kept_back=0.1)
    assert part.max_seconds == pytest.approx(100 * 0.9 - 60)
    assert Control.part(replace(control, looks=[95]), kept_back=0.1).max_seconds == 0.0
    assert Control(max_seconds=0.0).part().out_of_time()
    assert Control().part(0.1).max_seconds is None


def test_a_block_is_given_up_when_the_run_is_to_end():
    with pytest.raises(OutOfTime):
        Control(max_seconds=0.0).check()
    interrupted = Control(max_seconds=1e9)
    interrupted.interrupt()
    interrupted.check_time()  # what completes an interrupted run goes on
    with pytest.raises(OutOfTime):
        interrupted.check()
    problem = criterion(MODEL, TASK)
    rejected = Rejection().run(replace(problem, check=Control(max_seconds=0.0).check), Request(), Control())
    assert (rejected.outcome, rejected.evaluations) == (Outcome.EXHAUSTED, 0)


def test_descent_of_ten_million_steps_ends_with_the_time():
    method = GradientDescent(steps=10**7, tol=0.0, restarts=2)
    found = method.run(MODEL, criterion(MODEL, TASK), 0, Ticking(max_seconds=250.0))
    assert found.steps.tolist() == [249, 249]
    assert torch.isfinite(found.quantities["train_loss"]).all()


def test_map_ends_with_the_time():
    found = MaximumAPosteriori(restarts=2).run(MODEL, criterion(MODEL, TASK), 0, Ticking(max_seconds=5.0))
    assert found.steps.max() <= 5
    assert not found.converged.any()


def test_the_least_nuclear_norm_ends_with_the_time_and_says_so():
    task = sensing(6, 6, 2, 20, seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cut = reference_points(task, normalize=False, stop=lambda: True)
    assert "above the least" in str(cut["nuclear_norm"].note)
    assert reference_points(task, normalize=False)["nuclear_norm"].note is None


def test_a_reference_that_the_end_of_the_time_cut_short_has_no_row(monkeypatch):
    """Control: with time for it, it is there and has no reason."""
    settings = {"eps": 0.05, "method": "rejection", "gd": False, "map": False, "max_evaluations": 2**13}
    whole = result_object(gc.infer(MODEL, TASK, **settings))
    assert whole["baselines"]["nuclear_norm"] is not None
    assert "nuclear_norm" not in whole["reasons"]
    short = Reference(None, 0.0, 1.0, note="stopped in time")
    monkeypatch.setattr(references, "_nuclear_norm_point", lambda *_: short)
    cut = result_object(gc.infer(MODEL, TASK, **settings))
    assert cut["baselines"]["nuclear_norm"] is None
    assert cut["reasons"]["nuclear_norm"] == "stopped in time"
    assert cut["baselines"]["zero"] is not None


def test_the_prior_has_a_quarter_of_the_time_and_one_chain_at_least():
    found = draw_prior(criterion(MODEL, TASK), Request(chains=8, draws=10), Ticking(max_seconds=12.0))
    assert 1 <= len(found.end_to_end) < 8
    assert len(draw_prior(criterion(MODEL, TASK), Request(chains=8, draws=10), Control(0.0)).end_to_end) == 1


def test_splitting_gives_up_a_rung_or_an_island_that_is_not_finished():
    control = Ticking(max_seconds=200.0)
    problem = replace(criterion(MODEL, TASK, 1e-9), check=control.check)
    run = Splitting(particles=50).run(problem, Request(chains=2), control)
    assert run.outcome is Outcome.EXHAUSTED
    assert run.posterior is None
    assert control.looks[0] < 250  # a few looks more, by parts that find the time spent


def test_weighted_draws_are_completed_as_far_as_the_time_goes():
    # A block of weights and a completed block are a look each, at this size. Blocks that were begun ahead take a few
    # looks of what is kept back for completion, depending on threads.
    control = Ticking(max_seconds=120.0)
    problem = collapsed_criterion(0.0, control)
    run = Importance(most_draws=10**9).run(problem, Request(precision=1e-4, chains=4, draws=1000), control)
    assert run.outcome is Outcome.EXHAUSTED
    assert run.posterior is not None
    kept = run.posterior.end_to_end.shape[:2]
    assert 0 < kept[0] * kept[1] < 4000
    assert kept == run.posterior.quantities["gen_loss"].shape
    assert control.looks[0] < 140


def test_plain_weights_that_come_to_no_look_in_time_leave_the_rest_to_another_method():
    run, spent = Importance().plain(collapsed_criterion(0.02, Control()), Request(), Ticking(max_seconds=40.0))
    assert run is None
    assert spent < 16 * 1024
    few = Control(max_evaluations=2048)  # while a budget that is spent is reported
    run, spent = Importance().plain(collapsed_criterion(0.02, few), Request(), few)
    assert run is not None
    assert spent == 2048


def test_nuts_ends_within_a_transition():
    control = Ticking(max_seconds=300.0)
    run = NUTS().run(collapsed_criterion(0.02, control), Request(chains=2), control)
    assert run.outcome is Outcome.EXHAUSTED
    assert control.looks[0] < 400


def test_the_search_for_the_evidence_gives_what_it_has_when_the_budget_ends():
    task = sensing(4, 4, 1, 10, seed=0)
    noisy = replace(task, targets=task.targets + 0.1 * np.random.default_rng(0).normal(size=10))
    problem = criterion(MODEL, noisy)
    found = likeliest_threshold(problem, 0, Control(max_evaluations=50_000))
    assert not found.complete
    assert found.evaluations <= 25_000
    run = gc.infer(MODEL, noisy, eps="evidence", gd=False, map=False, max_evaluations=50_000, draws=10)
    assert run.attrs["outcome"] == "exhausted"
    assert "most probable ε" in run.attrs["message"]
    assert run.attrs["eps"] == pytest.approx(found.eps)
    assert not result_object(run)["settled"]
    # A smaller ε may be what the data suggest: nothing but more time is advised.
    advice = [check.advice for check in gc.diagnose(run).checks if "eps`" in check.advice]
    assert not advice
    settled = gc.infer(MODEL, noisy, eps=found.eps, gd=False, map=False, max_evaluations=50_000, draws=10)
    assert result_object(settled)["settled"]


def test_the_clock_runs_while_the_arguments_are_checked(monkeypatch):
    seconds = 0.2

    def slowly(*arguments):
        time.sleep(1.5 * seconds)
        return checked(*arguments)

    checked = Settings.checked
    monkeypatch.setattr(Settings, "checked", slowly)
    found = gc.infer(MODEL, TASK, method="rejection", map=False, draws=10, max_seconds=seconds)
    assert (found.attrs["outcome"], found.attrs["evaluations"]) == ("exhausted", 0)
    assert "left no time for it" in json.loads(found.attrs["reasons"])["gd"]
    [together] = infer_together([(MODEL, TASK, 0.05)], max_seconds=seconds, draws=10)
    assert (together.attrs["outcome"], together.attrs["evaluations"]) == ("exhausted", 0)


EXAMPLES = classification(np.random.default_rng(0).standard_normal((8, 3)), np.arange(8) % 2)
DESCENTS = {
    "descent": (GradientDescent(tol=0.0, restarts=3, steps=200), MODEL, TASK, 0.05),
    "stochastic descent": (SGD(tol=0.0, restarts=3, epochs=200), MLP((4,)), EXAMPLES, 0.0),
}


@pytest.mark.parametrize("name", DESCENTS)
def test_restarts_that_the_clock_stopped_are_known_from_those_that_ended(name):
    method, model, task, eps = DESCENTS[name]
    problem = Criterion(task, model.whiten(task.domain), eps, torch.device("cpu"), torch.float64)
    stopped = method.run(model, problem, 0, Ticking(max_seconds=20))
    assert stopped.cut.all()
    assert 0 < stopped.steps.max() < 200
    # The control: with time enough all go on to their last step.
    ended = method.run(model, problem, 0, Control())
    assert not ended.cut.any()
    assert ended.steps.max() >= 200


def test_a_descent_that_made_no_step_was_not_run():
    method = GradientDescent(restarts=3)

    def descend(own):
        return method.run(MODEL, criterion(MODEL, TASK, 0.05), 0, own)

    assert _in_time(Ticking(max_seconds=2), descend, 0.0) == (None, "`max_seconds=2` left no time for it")
    found, reason = _in_time(Ticking(max_seconds=20), descend, 0.0)
    fitted = int(found.converged.sum())
    words = {0: "and none", 3: "though all"}.get(fitted, f"and {fitted}")
    ended = f"3 of its 3 restarts had not come to their own end, {words} of these fitted"
    assert reason == f"`max_seconds=20` stopped it after {int(found.steps.max())} steps: {ended}"
    assert _in_time(Control(), descend, 0.0)[1] is None


@pytest.mark.parametrize(("eps", "words"), [(0.0, "and none"), (1e9, "though all")])
def test_restarts_that_were_stopped_are_told_from_those_that_did_not_fit(eps, words):
    method = GradientDescent(restarts=3, tol=0.0)
    _, reason = _in_time(Ticking(max_seconds=20), lambda own: method.run(MODEL, criterion(MODEL, TASK, eps), 0, own), 0)
    assert reason.endswith(f": 3 of its 3 restarts had not come to their own end, {words} of these fitted")


def test_what_the_deadline_did_to_descent_is_said():
    descent = GradientDescent(steps=10**7, tol=0.0, restarts=2)
    found = gc.infer(MODEL, TASK, eps=0.05, gd=descent, map=False, draws=10, max_seconds=1.5)
    reason = json.loads(found.attrs["reasons"])["gd"]
    assert "`max_seconds=1.5`" in reason
    assert "gd" not in found.children or "stopped it after" in reason
