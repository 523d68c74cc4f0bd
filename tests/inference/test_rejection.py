"""Rejection: exact counts, the same bits for any batch, honest when nothing is found."""

from __future__ import annotations

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from problems import INTEGER_TASK, condition, criterion, errors_apart, integers, share_a_draw
from scipy import stats

from bayesgc.inference import Control, Outcome, Rejection, Request
from bayesgc.models import MatrixFactorization
from bayesgc.task import completion, sensing
from bayesgc.validate import InputError

BLOCK = 2**13
PRECISION = 0.0165


def test_counts_and_interval():
    run = condition(Rejection(), control=Control(max_evaluations=4 * BLOCK), precision=0.001)
    assert run.outcome is Outcome.EXHAUSTED
    assert run.evaluations == run.diagnostics["draws"] == 4 * BLOCK
    accepted = run.diagnostics["accepted"]
    interval = stats.beta.ppf([0.025, 0.975], [accepted, accepted + 1], 4 * BLOCK - accepted + np.array([1, 0]))
    assert run.log_volume.value == pytest.approx(math.log(accepted / (4 * BLOCK)))
    assert run.log_volume.ci95 == pytest.approx(tuple(np.log(interval)))
    assert run.levels.acceptance.tolist() == [accepted / (4 * BLOCK)]


def test_criteria_on_the_same_draws_have_each_their_own_budget():
    control, request = Control(max_evaluations=6 * BLOCK), Request(precision=0.001)
    runs = Rejection().run_together([criterion(), criterion()], request, control, [0, 4 * BLOCK])
    assert [run.evaluations for run in runs] == [6 * BLOCK, 2 * BLOCK]
    alone = Rejection().run(criterion(), request, control.after(4 * BLOCK))
    assert torch.equal(runs[1].posterior.end_to_end, alone.posterior.end_to_end)
    assert runs[1].log_volume == alone.log_volume


def test_every_draw_passes_and_carries_its_own_losses():
    problem = criterion()
    run = condition(Rejection(), problem, precision=0.05)
    assert run.outcome is Outcome.CONVERGED
    draws = run.posterior
    assert (draws.quantities["train_loss"] < problem.eps).all()
    vectors = draws.end_to_end.flatten(0, 1).flatten(1).T
    torch.testing.assert_close(problem.task.train_loss(vectors), draws.quantities["train_loss"].flatten())
    torch.testing.assert_close(problem.task.gen_loss(vectors), draws.quantities["gen_loss"].flatten())
    summary = draws.summaries["gen_loss"]
    assert summary.mcse <= 0.05 * summary.mean


def test_any_batch_and_thread_count_gives_the_same_bits(threads):
    runs = []
    for batch, count in [(1, 1), (7, 1), (3, 2)]:
        threads(count)
        runs.append(condition(Rejection(batch=batch), precision=0.03))
    for run in runs[1:]:
        assert torch.equal(run.posterior.end_to_end, runs[0].posterior.end_to_end)
        assert run.posterior.summaries == runs[0].posterior.summaries
        assert run.log_volume == runs[0].log_volume


def test_seeds_differ():
    first, second = (condition(Rejection(), seed=seed).posterior.end_to_end for seed in (0, 1))
    assert not share_a_draw(first, second)


def test_nothing_accepted_is_no_posterior_but_a_bound():
    run = condition(Rejection(), criterion(eps=1e-12), Control(max_evaluations=2 * BLOCK))
    assert run.outcome is Outcome.EXHAUSTED
    assert run.posterior is None
    assert run.levels is None
    assert run.log_volume.value is None
    assert run.log_volume.ci95 == (None, pytest.approx(math.log(1 - 0.025 ** (1 / (2 * BLOCK)))))
    assert "raise `max_seconds`" in run.message


@pytest.mark.parametrize("budget", [1, 10, 2000, BLOCK - 1, BLOCK + 1, 3 * BLOCK + 77])
def test_every_budget_is_spent_to_the_last_draw(budget):
    """The first draws of a larger run, with the exact interval of their number."""
    run = condition(Rejection(), control=Control(max_evaluations=budget), precision=1e-4)
    assert run.outcome is Outcome.EXHAUSTED
    assert run.evaluations == run.diagnostics["draws"] == budget
    accepted = run.diagnostics["accepted"]
    top = stats.beta.ppf(0.975, accepted + 1, budget - accepted)
    assert run.log_volume.ci95[1] == pytest.approx(math.log(top))
    larger = condition(Rejection(), control=Control(max_evaluations=4 * BLOCK), precision=1e-4, chains=1)
    if accepted:
        ours = condition(Rejection(), control=Control(max_evaluations=budget), precision=1e-4, chains=1)
        assert torch.equal(ours.posterior.end_to_end[0], larger.posterior.end_to_end[0, : min(accepted, 1000)])
    # The control: a whole number of blocks would be another number of draws.
    assert budget % BLOCK


def test_criteria_on_the_same_draws_stop_within_a_block():
    control, request = Control(max_evaluations=BLOCK + 500), Request(precision=0.001)
    runs = Rejection().run_together([criterion(), criterion()], request, control, [0, 1000])
    assert [run.evaluations for run in runs] == [BLOCK + 500, BLOCK - 500]
    alone = Rejection().run(criterion(), request, control.after(1000))
    assert runs[1].log_volume == alone.log_volume
    assert torch.equal(runs[1].posterior.end_to_end, alone.posterior.end_to_end)


def independent(law):
    """A program of a 4×4 matrix with independent entries."""
    return lambda: pyro.sample("w", law.expand([4, 4]).to_event(2))


def test_few_hits_are_not_enough_whatever_they_say():
    """Where all hits are alike the errors of a handful are small; a part that none of them is in may be the larger."""
    run = condition(Rejection(), control=Control(max_evaluations=8 * BLOCK), precision=10.0)
    assert run.outcome is Outcome.CONVERGED
    assert run.diagnostics["accepted"] >= 200
    few = condition(Rejection(), control=Control(max_evaluations=BLOCK), precision=10.0)
    assert few.log_volume.mcse < 0.15
    assert few.diagnostics["accepted"] < 200
    assert few.outcome is Outcome.EXHAUSTED


def test_a_mean_that_a_heavy_tail_decides_does_not_count_as_known():
    """Unseen entries keep the prior's law, whose square has no mean here: the spread of the hits is no error of it."""
    task, control = completion(4, 4, 1, 4, seed=0), Control(max_evaluations=BLOCK)
    heavy, light = (
        condition(Rejection(), criterion(independent(law), task, 0.05), control, precision=0.8)
        for law in (dist.StudentT(2.0, 0.0, 0.3), dist.Normal(0.0, 0.3))
    )
    for run in (heavy, light):
        losses = run.posterior.summaries["gen_loss"]
        assert run.diagnostics["accepted"] >= 200
        assert losses.mcse <= 0.8 * losses.mean
        assert run.log_volume.mcse < 0.15
    assert heavy.outcome is Outcome.EXHAUSTED
    # The control: normal entries have no such tail.
    assert light.outcome is Outcome.CONVERGED


def test_a_budget_of_no_time_finds_nothing_out():
    run = condition(Rejection(), control=Control(max_seconds=0.0))
    assert (run.outcome, run.evaluations, run.posterior) == (Outcome.EXHAUSTED, 0, None)
    assert run.log_volume.ci95 == (None, 0.0)
    assert run.message == "The budget ended before the first block of 8192 draws: raise `max_seconds`."


def test_interruption_keeps_what_was_found():
    control = Control()
    control.report = lambda progress: control.interrupt() if progress.done >= 3 * BLOCK else None
    run = condition(Rejection(batch=1), control=control, precision=1e-4)
    assert run.outcome is Outcome.INTERRUPTED
    assert 3 * BLOCK <= run.evaluations < 20 * BLOCK
    assert run.posterior is not None


@pytest.mark.parametrize(("interrupt", "outcome"), [(False, Outcome.CONVERGED), (True, Outcome.INTERRUPTED)])
def test_it_looks_once_more_when_the_budget_ends(interrupt, outcome):
    """After 12 blocks, when it last looked, it was not precise enough; after 13 it is."""
    task = sensing(3, 3, 1, 3, seed=0)
    problem = criterion(MatrixFactorization(2, 5), task, 0.5 * task.zero_train_loss)
    control = Control(max_evaluations=13 * BLOCK)
    if interrupt:
        control.report = lambda progress: control.interrupt() if progress.done == 13 * BLOCK else None
    run = condition(Rejection(), problem, control, precision=PRECISION)
    summary = run.posterior.summaries["gen_loss"]
    assert run.outcome is outcome, summary.mcse / summary.mean
    assert run.evaluations == 13 * BLOCK
    assert summary.mcse <= PRECISION * summary.mean
    assert condition(Rejection(), problem, Control(max_evaluations=12 * BLOCK), precision=PRECISION).outcome is (
        Outcome.EXHAUSTED
    )


def test_out_of_time():
    run = condition(Rejection(), control=Control(max_seconds=0.2), precision=1e-5)
    assert run.outcome is Outcome.EXHAUSTED
    assert run.seconds < 5


def test_chains_draws_and_weights():
    problem = criterion()
    run = condition(Rejection(), problem, chains=3, draws=20, weights=True)
    assert run.posterior.end_to_end.shape == (3, 20, 3, 3)
    weights = run.posterior.weights
    assert {name: tuple(value.shape) for name, value in weights.items()} == {
        "W1": (3, 20, 4, 3),
        "W2": (3, 20, 3, 4),
    }
    torch.testing.assert_close(weights["W2"] @ weights["W1"], run.posterior.end_to_end)


def test_volume_of_a_discrete_prior():
    # Only (1, 0) has a loss of 0.025 < 0.1: P(round z = 1) · P(round z = 0), by enumeration.
    one, zero = stats.norm.cdf(1.5) - stats.norm.cdf(0.5), stats.norm.cdf(0.5) - stats.norm.cdf(-0.5)
    run = condition(Rejection(), criterion(integers, INTEGER_TASK, 0.1))
    assert errors_apart(run.log_volume.value, math.log(one * zero), run.log_volume.mcse) < 4
    assert (run.posterior.end_to_end[..., 0, 0] == 1).all()


def test_batch_is_checked():
    with pytest.raises(InputError, match="batch is 0; it must be a whole number at least 1"):
        Rejection(batch=0)
