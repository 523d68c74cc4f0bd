"""Ladders: noise on the measurements and thresholds on a loss, what they weigh and accept, and unequal copies."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from problems import CPU, criterion, power_law
from scipy import stats

from bayesgc.inference.islands.islands import Islands
from bayesgc.inference.islands.ladders import Ladder, Noise, NoiseLadder, Rung, Threshold, ThresholdLadder
from bayesgc.inference.streams import Stream, generator

SCORES = 30 * torch.randn(400, generator=generator(0, Stream.PRIOR, 0, CPU), dtype=torch.float64)


def effective_share(log_weight):
    weight = np.exp(log_weight - log_weight.max())
    return weight.sum() ** 2 / (weight**2).sum() / len(weight)


SPREADS = torch.rand(400, generator=generator(0, Stream.PRIOR, 2, CPU), dtype=torch.float64).mul(12).sub(9).exp()


def noisy_scores(rung):
    """log N(1, 1; 0, s + τ) for two measurements of a particle with variance s."""
    variance = SPREADS + rung.height
    return -(1 / variance + variance.log())


@pytest.mark.parametrize("least", [0.0, 1e-3])
@pytest.mark.parametrize("survival", [0.3, 0.5])
def test_each_noise_leaves_the_effective_share_asked_for(survival, least):
    ladder, rungs, before = NoiseLadder(survival, 1.0, least), [], torch.zeros(400, dtype=torch.float64)
    while not ladder.finished(rungs):
        rungs.append(ladder.next(before, rungs, noisy_scores))
        score = noisy_scores(rungs[-1])
        share = effective_share(rungs[-1].log_weight(score, before).numpy())
        # Six halvings of a factor of four leave a fiftieth between what is enough and what is not.
        ends = rungs[-1].height in (0, least)
        assert ends or survival <= share < survival + 0.05
        assert share >= survival or (ends and least > 0)
        before = score
    heights = [rung.height for rung in rungs]
    assert heights == sorted(set(heights), reverse=True)
    assert len(heights) >= 2
    assert heights[-1] == 0


def test_a_flat_density_takes_one_step_and_none_takes_no_step():
    ladder, flat = NoiseLadder(0.5, 1.0, 0.0), torch.zeros(10)
    assert ladder.next(flat, [], lambda rung: flat) == Noise(0.0)
    assert ladder.next(flat, [], lambda rung: flat - torch.inf) is None
    assert ladder.next(flat, [Noise(1e-21)], lambda rung: flat - torch.inf) is None
    with pytest.raises(TypeError, match="needs the scores"):
        ladder.next(flat, [])


def test_noise_shows_its_way():
    ladder = NoiseLadder(0.5, 1.0, 1e-3)
    ways = [ladder.way([Noise(1.0), Noise(height)]) for height in (1.0, 0.1, 1e-3, 0.0)]
    assert ways == pytest.approx([0, 1 / 3, 0.99, 1])


def test_metropolis_takes_each_proposal_as_often_as_it_should():
    rung, uniforms = Noise(0.5), torch.rand(40_000, generator=generator(0, Stream.PRIOR, 1, CPU))
    gain = torch.tensor([3.0, 0.0, -1.0, -4.0, -torch.inf]).repeat(8000)
    taken = rung.accept(5 + gain, torch.full_like(gain, 5), lambda: uniforms).view(-1, 5).double().mean(0)
    expected = np.array([1, 1, math.exp(-1), math.exp(-4), 0])
    error = np.sqrt(np.maximum(expected * (1 - expected), 1e-12) / 8000)
    assert (np.abs(taken.numpy() - expected) <= 4 * error).all()
    # Where there is no density on either side, nothing moves.
    nowhere = torch.full((3,), -torch.inf)
    assert not rung.accept(nowhere, nowhere, lambda: torch.rand(3)).any()


def test_thresholds_weigh_and_accept_by_the_loss_alone():
    rung, loss = Threshold(0.5), torch.tensor([0.1, 0.5, 0.9, torch.nan])
    assert rung.log_weight(loss).tolist() == [0.0, -math.inf, -math.inf, -math.inf]
    assert rung.accept(loss, torch.zeros(4), lambda: torch.zeros(4)).tolist() == [True, False, False, False]


def test_threshold_ladder_knows_its_end_and_its_way():
    ladder = ThresholdLadder(0.01, 0.3, power_law(5))
    assert not ladder.finished([])
    assert not ladder.finished([Threshold(0.02)])
    assert ladder.finished([Threshold(0.02), Threshold(0.01)])
    assert ladder.way([Threshold(1.0), Threshold(0.1)]) == pytest.approx(0.5)
    assert ladder.way([Threshold(0.01)]) == 1.0


def test_a_descent_that_makes_no_way_stops():
    ladder, losses = ThresholdLadder(1e-6, 0.3, power_law(5)), 1 + torch.rand(100) / 1e4
    creeping = [Threshold(1 + 1e-4 / step) for step in range(1, 30)]
    falling = [Threshold(0.6**step) for step in range(30)]
    assert ladder.next(losses, creeping) is None
    assert ladder.next(losses, falling) is not None
    assert ladder.next(losses, creeping[:10]) is not None


def test_protocols():
    assert isinstance(Noise(1.0), Rung)
    assert isinstance(Threshold(1.0), Rung)
    assert isinstance(NoiseLadder(0.5, 1.0, 0.0), Ladder)
    assert isinstance(ThresholdLadder(0.1, 0.5, power_law(3)), Ladder)


# --- copies in proportion to unequal weights --------------------------------------------------------------------------

WEIGHT = np.array([0.02, 0.3, 0.0, 1.0, 0.55, 0.13, 2.0, 0.4, 0.05, 0.55])
TRIALS = 400


class Weighs(Noise):
    """Whatever the scores were before."""

    def log_weight(self, score, before=None):
        return score


@pytest.fixture(scope="module")
def copies():
    """(trial, particle): how often each of ten particles was copied."""
    found = []
    for first in range(0, TRIALS, 50):
        group = Islands.from_prior(criterion(), 10, 3, Stream.ISLAND, list(range(first, first + 50)))
        group.score = torch.tensor(np.log(np.maximum(WEIGHT, 1e-300))).repeat(50)
        group.score[group.score < -600] = -torch.inf
        group.select(Weighs(1.0))
        assert group.log_volume.numpy() == pytest.approx(math.log(WEIGHT.mean()))
        found += [row.bincount(minlength=10).numpy() for row in group.root]
    return np.array(found)


def apart(copies, weight):
    """The largest deviation of a mean number of copies from what is due, in standard errors."""
    due = 10 * weight / weight.sum()
    share = due % 1
    error = np.sqrt(np.maximum(share * (1 - share), 1e-12) / TRIALS)
    return float((np.abs(copies.mean(0) - due) / error).max())


def test_copies_are_the_whole_numbers_beside_what_is_due(copies):
    due = 10 * WEIGHT / WEIGHT.sum()
    assert ((copies == np.floor(due)) | (copies == np.ceil(due))).all()
    assert (copies.sum(1) == 10).all()
    assert (copies[:, 2] == 0).all()


def test_expected_copies_are_what_is_due(copies):
    assert apart(copies, WEIGHT) < 4
    # Negative control: weights to the power 1.1.
    assert apart(copies, WEIGHT**1.1) > 6


def test_the_odd_copies_are_dealt_at_random(copies):
    """Without the random order neighbours would never share their luck: pairs of particles are nearly independent."""
    odd = copies[:, [4, 9]] - np.floor(10 * WEIGHT[[4, 9]] / WEIGHT.sum())
    assert stats.fisher_exact(np.histogram2d(*odd.T, bins=2, range=[[-0.5, 1.5]] * 2)[0]).pvalue > 1e-4
