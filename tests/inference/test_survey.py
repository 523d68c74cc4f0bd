"""The survey that islands begin with: unbiased volumes, rare modes met, nothing lost when it stops or does not pay."""

from __future__ import annotations

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from problems import condition, criterion, power_law
from scipy import stats

from bayesgc.inference import Control, Outcome, Splitting
from bayesgc.inference.islands import survey
from bayesgc.inference.islands.islands import Islands
from bayesgc.inference.islands.ladders import Threshold, ThresholdLadder
from bayesgc.inference.islands.pilot import Climb, run_pilot
from bayesgc.inference.islands.survey import BLOCK, Survey
from bayesgc.inference.streams import Stream
from bayesgc.task import completion

TASK = completion(3, 3, 1, 5, seed=0)
NARROW, WIDE = 0.06, 0.5
RUNGS = [Threshold(share * TASK.zero_train_loss) for share in (1.0, 0.85, 0.75)]


def two_modes(probability):
    """Independent normal entries, narrow but with a small prior probability; only the wide ones fit well."""

    def program():
        wide = pyro.sample("wide", dist.Bernoulli(probability))
        matrix = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 3]).to_event(2))
        return torch.where(wide > 0, WIDE, NARROW) * matrix

    return program


def share_below(scale, threshold):
    """P(L_train < threshold) for entries N(0, scale²), of which five are observed."""
    count = TASK.measurements.count
    return float(stats.ncx2.cdf(count * threshold / scale**2, count, float(np.sum(TASK.targets**2)) / scale**2))


def surveyed(probability, blocks=4, islands=range(100), rungs=RUNGS, level=False):
    """Volumes of each island on each rung, and the islands."""
    problem = criterion(two_modes(probability), TASK, 1e-3)
    group = Islands.from_prior(problem, 50, 0, Stream.ISLAND, list(islands))
    with torch.no_grad():
        levels = Survey(blocks * BLOCK, len(rungs), 0.3).climb(group, rungs, lambda: False, level=level).levels
    volumes = [each[0].exp() for each in levels] + [group.log_volumes.exp()]
    return torch.stack(volumes).numpy(), group


def wide_mass(group):
    """Of each island, the estimate of P(wide, below the last rung)."""
    wide = group.target.whitened.weights(group.normals)["wide"] > 0
    return (group.log_volumes.exp() * group.island_means(wide.double())).numpy()


def errors_of_the_mean(values, expected):
    """How many standard errors the mean over islands is away, for every row."""
    return np.abs(values.mean(-1) - expected) / (values.std(-1) / math.sqrt(values.shape[-1]))


@pytest.mark.usefixtures("unchecked")
def test_volumes_are_unbiased_on_every_rung(monkeypatch):
    """Three means of 100 islands: beyond four standard errors by chance in one of 5000 seeds."""
    exact = [0.99 * share_below(NARROW, rung.height) + 0.01 * share_below(WIDE, rung.height) for rung in RUNGS]
    assert (errors_of_the_mean(surveyed(0.01)[0], exact) < 4).all()
    # The control: draws with a wider normal that are taken for the prior's own.
    plain = torch.zeros(BLOCK * 400, dtype=torch.float64)
    monkeypatch.setattr(survey, "_log_weight", lambda target, normals: plain[: normals.shape[1]])
    assert (errors_of_the_mean(surveyed(0.01)[0], exact) > 6).any()


@pytest.mark.usefixtures("unchecked")
def test_a_rare_mode_is_counted_rightly():
    exact = 1e-3 * share_below(WIDE, RUNGS[-1].height)
    assert errors_of_the_mean(wide_mass(surveyed(1e-3)[1]), exact) < 4
    assert errors_of_the_mean(wide_mass(surveyed(1e-3, level=True)[1]), exact) < 4
    # The control: half of the mode.
    assert errors_of_the_mean(wide_mass(surveyed(1e-3)[1]), 2 * exact) > 4


@pytest.mark.usefixtures("unchecked")
def test_a_very_rare_mode_is_met(monkeypatch):
    """A hundred islands of 4096 draws; of plain draws of the prior a quarter of one would be in the mode and fit."""
    mass = wide_mass(surveyed(1e-5)[1])
    assert np.count_nonzero(mass) >= 10
    assert errors_of_the_mean(mass, 1e-5 * share_below(WIDE, RUNGS[-1].height)) < 4
    # The control: without a wider normal it is not met at all.
    monkeypatch.setattr(survey, "_WIDTH", 1.0)
    assert np.count_nonzero(wide_mass(surveyed(1e-5)[1])) == 0


@pytest.mark.usefixtures("unchecked")
def test_weights_are_levelled_out_without_bias():
    exact = 1e-3 * share_below(WIDE, RUNGS[-1].height)
    _, group = surveyed(1e-3)
    assert group.log_weight.std() > 0
    for _ in range(3):
        group.select(RUNGS[-1])
        group.move(RUNGS[-1], [0.5])
    group.select(RUNGS[-1], level=True)
    assert (group.log_weight == 0).all()
    assert errors_of_the_mean(wide_mass(group), exact) < 4


def test_islands_survey_alone_as_in_company():
    volumes, together = surveyed(0.01, islands=(0, 1, 2))
    alone_volumes, alone = surveyed(0.01, islands=(1,))
    np.testing.assert_allclose(volumes[:, 1], alone_volumes[:, 0], rtol=1e-12)
    torch.testing.assert_close(together.normals[:, 50:100], alone.normals)
    assert (alone.score < RUNGS[-1].height).all()
    torch.testing.assert_close(alone.score, alone.target.score(alone.normals))


def test_an_island_without_survivors_has_no_volume():
    volumes, group = surveyed(0.01, blocks=1, islands=(0,), rungs=[*RUNGS, Threshold(1e-9)])
    assert (volumes[:3] > 0).all()
    assert volumes[3] == 0
    assert group.log_volumes.tolist() == [-math.inf]


@pytest.mark.parametrize(
    ("particles", "moves", "survival", "rungs", "draws"),
    [(1000, 10, 0.3, 5, 40 * BLOCK), (200, 10, 0.3, 4, 6 * BLOCK), (1000, 10, 0.1, 2, 10 * BLOCK)],
)
def test_it_costs_what_the_moves_cost_that_it_replaces(particles, moves, survival, rungs, draws):
    plan = Survey.plan(particles * moves, survival, 5)
    assert plan == Survey(draws, rungs, survival)
    assert 0 <= plan.draws - (rungs - 1) * moves * particles < BLOCK
    assert plan.plain == plan.draws * 3 // 4


def test_it_is_left_out_where_it_would_leave_too_few():
    assert Survey.plan(200, 0.3, 5) is None
    assert Survey.plan(20, 0.3, 5) is None


def test_the_pilot_looks_at_as_many_draws_and_ends_at_the_threshold():
    climb = Climb(200, 10, 0.25, Survey.plan(2000, 0.3, 5))
    for eps, rungs in ((0.13, 2), (1e-2, 4)):
        ladder = ThresholdLadder(eps, 0.3, power_law(5))
        schedule = run_pilot(criterion(two_modes(0.01), TASK, eps), ladder, climb, 0, Control())
        assert schedule.survey.rungs == rungs
        assert schedule.rungs[-1].height == eps
        own = climb.survey.draws + schedule.survey.draws
        moved = len(schedule.rungs) - rungs + 1
        assert schedule.evaluations == own + 200 * (1 + 10 * moved)
        assert schedule.cost(climb) == schedule.survey.draws + 200 * (1 + 10 * moved)
        assert schedule.cost(climb) <= 200 * (1 + 10 * len(schedule.rungs)) + BLOCK


def test_a_budget_that_does_not_afford_it_is_climbed_as_before():
    climb = Climb(200, 10, 0.25, Survey.plan(2000, 0.3, 5))
    enough = 4 * 4 * climb.survey.draws
    for budget, there in ((enough, True), (enough - 1, False)):
        ladder = ThresholdLadder(1e-3, 0.3, power_law(5))
        found = run_pilot(criterion(two_modes(0.01), TASK, 1e-3), ladder, climb, 0, Control(max_evaluations=budget))
        assert (found.survey is not None) == there
        assert found.evaluations <= budget


def carried():
    """One site has no transport; where it depends on a normal, a wider normal would leave it with another's law."""
    scale = pyro.sample("scale", dist.Normal(0.0, 1.0))
    count = pyro.sample("count", dist.Poisson(3.0 + (scale**2 if depends else 0.0)))
    return count * pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 3]).to_event(2)) / 3


depends = False


@pytest.mark.parametrize("value", [False, True])
def test_only_normals_on_which_nothing_carried_depends_are_widened(value, monkeypatch):
    monkeypatch.setattr(f"{__name__}.depends", value)
    problem = criterion(carried, TASK, 0.01)
    if not problem.whitened.carries:
        pytest.skip("the site has a transport")
    assert problem.free_normals == (0 if value else 10)


def test_what_could_be_seen_is_said():
    run = condition(Splitting(particles=200), criterion(two_modes(0.01), TASK, 0.13), chains=8)
    assert run.outcome is Outcome.CONVERGED
    draws, islands = run.diagnostics["prior_draws"], run.diagnostics["islands"]
    assert draws == islands * (200 + 2 * BLOCK * 3 // 4)
    # A mode so probable is missed by that many draws with a probability of 5 %.
    assert (1 - run.diagnostics["least_visible_mode"]) ** draws == pytest.approx(0.05)


# --- whole runs -------------------------------------------------------------------------------------------------------

EPS = 0.02
SEEDS = range(3)


def converged_on_the_wrong_mode(probability, monkeypatch):
    """Of three runs, how many converged more than four standard errors from the exact volume."""
    monkeypatch.setattr(f"{__name__}.NARROW", 0.08)
    exact = math.log(probability * share_below(WIDE, EPS) + (1 - probability) * share_below(NARROW, EPS))
    problem, wrong = criterion(two_modes(probability), TASK, EPS), 0
    for seed in SEEDS:
        run = condition(Splitting(), problem, Control(max_evaluations=5_000_000), seed=seed)
        wrong += run.outcome is Outcome.CONVERGED and abs(run.log_volume.value - exact) > 4 * run.log_volume.mcse
    return wrong


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("probability", [1e-2, 1e-3, 1e-4, 1e-5])
def test_runs_are_right_about_a_rare_mode_or_do_not_converge(probability, monkeypatch):
    assert converged_on_the_wrong_mode(probability, monkeypatch) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_without_a_survey_runs_converge_on_the_wrong_mode(monkeypatch):
    """The control, at a probability that the moves do not find by themselves."""
    monkeypatch.setattr(Survey, "plan", classmethod(lambda *_: None))
    assert converged_on_the_wrong_mode(1e-5, monkeypatch) > 0
