"""Splitting: known answers, the same bits for any thread count, honest outcomes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from problems import INTEGER_TASK, MILD_TASK, condition, criterion, errors_apart, integers, share_a_draw
from scipy import stats

from bayesgc.inference import Control, Outcome, Splitting
from bayesgc.models import MatrixFactorization
from bayesgc.task import load
from bayesgc.validate import InputError

SMALL = Splitting(particles=200, moves=10)
ONE = stats.norm.cdf(1.5) - stats.norm.cdf(0.5)
ZERO = stats.norm.cdf(0.5) - stats.norm.cdf(-0.5)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["shared-1", "shared-2", "shared-3", "shared-4"])
def test_cases_with_known_answers(name, cases):
    facts = cases[name].facts
    options = {key: facts[key] for key in ("depth", "width", "activation", "prior", "normalize")}
    problem = criterion(MatrixFactorization(**options), load(cases[name].path), facts["eps"])
    # Fewer particles than by default, and a looser goal for E[L_gen]; errors are as honest.
    run = condition(Splitting(particles=500, moves=10), problem, precision=0.2)
    assert run.outcome is Outcome.CONVERGED
    volume, loss = run.log_volume, run.posterior.summaries["gen_loss"]
    assert errors_apart(volume.value, facts["log_volume"], volume.mcse, facts["log_volume_se"]) < 4
    assert errors_apart(loss.mean, facts["gen"], loss.mcse, facts["gen_se"]) < 4


@pytest.fixture(scope="module")
def mild():
    return condition(SMALL, chains=8)


def test_draws_pass_and_carry_their_own_losses(mild):
    problem = criterion()
    draws = mild.posterior
    assert draws.end_to_end.shape[1:] == (200, 3, 3)
    assert draws.end_to_end.shape[0] % 8 == 0
    assert (draws.quantities["train_loss"] < problem.eps).all()
    vectors = draws.end_to_end.flatten(0, 1).flatten(1).T
    torch.testing.assert_close(problem.task.gen_loss(vectors), draws.quantities["gen_loss"].flatten())


def test_levels_lead_from_the_prior_to_the_threshold(mild):
    levels = mild.levels
    assert levels.threshold[0] == math.inf
    assert levels.threshold[-1] == criterion().eps
    assert (levels.threshold[:-1] > levels.threshold[1:]).all()
    assert levels.log_volume[0] == 0
    assert levels.log_volume[-1] == pytest.approx(mild.log_volume.value)
    assert levels.primary[-1] == pytest.approx(mild.posterior.summaries["gen_loss"].mean)
    assert (levels.ancestors <= 200).all()
    assert levels.ancestors[-1] < 200


def test_one_seed_repeats_for_any_thread_count_and_another_differs(threads):
    runs = []
    for count, seed in [(1, 0), (2, 0), (1, 1)]:
        threads(count)
        runs.append(condition(SMALL, chains=6, draws=50, seed=seed))
    first, same, other = runs
    assert torch.equal(first.posterior.end_to_end, same.posterior.end_to_end)
    for name, values in first.posterior.quantities.items():
        assert torch.equal(values, same.posterior.quantities[name])
    assert first.log_volume == same.log_volume
    assert first.posterior.summaries == same.posterior.summaries
    assert not share_a_draw(first.posterior.end_to_end, other.posterior.end_to_end)


def test_atoms_are_counted_exactly():
    # Ties everywhere: P(round z_1 = 1) · P(round z_2 = 0), by enumeration.
    run = condition(SMALL, criterion(integers, INTEGER_TASK, 0.1))
    assert run.outcome is Outcome.CONVERGED
    assert errors_apart(run.log_volume.value, math.log(ONE * ZERO), run.log_volume.mcse) < 4
    assert (run.posterior.end_to_end[..., 0, 0] == 1).all()


def test_a_run_that_meets_the_last_atom_stalls():
    run = condition(SMALL, criterion(integers, INTEGER_TASK, 0.001))
    assert run.outcome is Outcome.STALLED
    assert run.posterior is None
    assert run.log_volume.value is None
    # The bound is the volume of the last threshold reached, which the best atom alone lies below.
    assert run.log_volume.ci95[0] is None
    assert math.log(ONE * ZERO) - 0.2 < run.log_volume.ci95[1] < math.log(ONE * ZERO) + 0.5
    assert "raise `eps` above the last threshold reached" in run.message
    assert run.levels.threshold[-1] > 0.001


@pytest.mark.usefixtures("unchecked")
def test_dead_relu_nets_stall_at_what_they_can_reach():
    # At width 1 both columns of W lie along one vector, and ReLU keeps them in one orthant: ε is out of reach.
    model = MatrixFactorization(depth=2, width=1, activation="relu", prior="uniform", normalize=False)
    run = condition(SMALL, criterion(model, INTEGER_TASK, 1e-3), Control(max_evaluations=500_000))
    # Uniform weights of size 1/√2 and 1 bound the entry (0, 0) by 0.71 < 0.9: the training loss exceeds 0.018.
    assert run.outcome in (Outcome.STALLED, Outcome.EXHAUSTED)
    assert run.posterior is None
    assert run.log_volume.value is None
    assert run.log_volume.ci95[1] <= 0


def test_a_spent_budget_is_the_same_every_time():
    runs = [condition(SMALL, control=Control(max_evaluations=30_000), precision=1e-3, chains=4) for _ in range(2)]
    first, second = runs
    assert first.outcome is Outcome.EXHAUSTED
    assert first.evaluations == second.evaluations <= 30_000
    assert first.log_volume == second.log_volume
    assert (first.posterior is None) == (second.posterior is None)
    if first.posterior is not None:
        assert torch.equal(first.posterior.end_to_end, second.posterior.end_to_end)


@pytest.mark.parametrize("budget", [1, 500, 3000, 8000])
def test_small_budgets_are_kept(budget):
    run = condition(SMALL, control=Control(max_evaluations=budget))
    assert run.outcome is Outcome.EXHAUSTED
    assert run.evaluations <= budget
    assert run.log_volume.value is None or run.log_volume.mcse > 0
    if budget < SMALL.particles:
        assert run.evaluations == 0
        assert "ended before the first block of 200 draws: raise `max_evaluations`, to 200 at least" in run.message


@pytest.mark.parametrize("stage", ["pilot", "islands"])
def test_interruption_keeps_what_was_found(stage, threads):
    threads(1)
    control = Control()
    seen = []

    def report(progress):
        seen.append(progress.stage)
        if seen.count(stage) == 2:
            control.interrupt()

    control.report = report
    run = condition(SMALL, control=control, precision=1e-3, chains=40)
    assert run.outcome is Outcome.INTERRUPTED
    assert "interrupted" in run.message
    if stage == "pilot":
        assert run.posterior is None
    else:
        assert 2 <= run.diagnostics["islands"] < 40
        assert run.posterior.end_to_end.shape[0] == run.diagnostics["islands"]


def test_more_islands_until_the_errors_are_small():
    rough, fine = (condition(SMALL, chains=4, precision=precision) for precision in (0.3, 0.01))
    assert fine.diagnostics["islands"] > rough.diagnostics["islands"]
    summary = fine.posterior.summaries["gen_loss"]
    assert summary.mcse <= 0.03 * summary.mean


def test_few_islands_do_not_judge_each_other():
    """Three that agree may do so by chance: it goes on to an effective number of eight, which `diagnose` asks for."""
    run = condition(SMALL, chains=3, precision=0.5)
    assert run.outcome is Outcome.CONVERGED
    assert run.diagnostics["islands"] in (9, 12)
    few = condition(SMALL, control=Control(max_evaluations=run.evaluations * 2 // 3), chains=3, precision=0.5)
    assert few.outcome is Outcome.EXHAUSTED
    assert few.diagnostics["islands"] < 9


def test_weights_make_the_matrices():
    run = condition(SMALL, chains=4, draws=30, weights=True)
    weights = run.posterior.weights
    torch.testing.assert_close(weights["W2"] @ weights["W1"], run.posterior.end_to_end)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"particles": 1}, "particles is 1; it must be a whole number at least 2"),
        ({"moves": 0}, "moves is 0; it must be a whole number at least 1"),
        ({"survival": 0.0}, "survival is 0.0; it must be a finite number greater than 0 and at most 0.9"),
        ({"survival": 1.0}, "survival is 1.0"),
        ({"acceptance": math.nan}, "acceptance is nan"),
    ],
)
def test_hyperparameters_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        Splitting(**options)


@pytest.mark.parametrize(("precision", "particles"), [(None, 1000), (0.1, 250), (1.0, 200)])
def test_islands_are_smaller_where_a_coarser_precision_is_asked_for(precision, particles):
    problem = criterion(MatrixFactorization(2, 3), MILD_TASK, 0.05)
    run = condition(Splitting(moves=1), problem, precision=precision, chains=4)
    assert run.diagnostics["particles"] == particles
    assert condition(SMALL, problem, precision=precision, chains=4).diagnostics["particles"] == SMALL.particles


@pytest.mark.parametrize(
    ("depth", "noisy", "expected"),
    [(1, False, 10), (2, False, 8), (8, False, 4), (1, True, 20), (2, True, 16), (8, True, 4)],
)
def test_layers_share_the_moves_and_noisy_measurements_take_twice_as_many(depth, noisy, expected):
    task = replace(MILD_TASK, noisy=noisy)
    assert Splitting().climb(criterion(MatrixFactorization(depth), task)).moves == expected
    assert Splitting(moves=7).climb(criterion(MatrixFactorization(depth), task)).moves == 7
