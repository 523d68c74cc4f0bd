"""Tails are told from draws: light ones are let pass, those without a mean are not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from arviz_stats.base import array_stats

from bayesgc.moments import believable, tail_shape

SEEDS = range(100)
LIGHT = {
    "exponential": lambda source, size: source.exponential(size=size),
    "χ² of ten": lambda source, size: source.chisquare(10, size=size),
    "uniform": lambda source, size: source.random(size),
}


def flagged(law, size: int) -> int:
    """In how many of a hundred samples the mean is not believed."""
    return sum(not believable(tail_shape(law(np.random.default_rng(seed), size))) for seed in SEEDS)


@pytest.mark.parametrize("name", LIGHT)
@pytest.mark.parametrize("size", [200, 2000])
def test_light_tails_are_let_pass(name, size):
    """At most one in a hundred is the stated rate: four or more of a hundred have a probability of 2 %."""
    assert flagged(LIGHT[name], size) <= 3


def test_tails_without_a_mean_are_seen():
    """The control: k = 1, where the mean does not exist. Seen in nine of ten short samples, in all long ones."""

    def heavy(source, size):
        return source.pareto(1.0, size=size)

    assert flagged(heavy, 200) >= 80  # nine in ten, less three standard deviations
    assert flagged(heavy, 4000) == 100


def losses(seed: int, size: int, *, normalise: bool = False, freedom: float = math.inf) -> np.ndarray:
    """L_gen of draws of the prior of a linear net of depth 2 on a task with ten orthonormal held-out measurements."""
    source = np.random.default_rng(seed)
    draw = source.standard_normal if math.isinf(freedom) else lambda shape: source.standard_t(freedom, shape)
    products = np.einsum("nij,njk->nik", *(draw((size, 5, 5)) / math.sqrt(5) for _ in range(2))).reshape(size, 25)
    if normalise:
        products /= np.linalg.norm(products, axis=1, keepdims=True)
    basis, _ = np.linalg.qr(source.standard_normal((25, 10)))
    truth = source.standard_normal(25) / 5
    return (((products - truth) @ basis) ** 2).mean(axis=1)


def test_losses_of_a_usual_prior_are_believed_and_those_of_a_heavy_one_are_not():
    """A thousand draws each: normalised, and with the closed form 1/5 + ‖b‖²/10 of the mean; the control is a t law."""
    assert sum(not believable(tail_shape(losses(seed, 1000, normalise=True))) for seed in SEEDS) == 0
    # Of a product of normal variables k̂ is about 0.1, three standard deviations below the limit.
    usual = [losses(seed, 1000) for seed in SEEDS]
    assert sum(not believable(tail_shape(each)) for each in usual) <= 3
    centred = [each - 0.2 for each in usual]
    errors = [each.std() / math.sqrt(each.size) for each in centred]
    assert np.mean([abs(each.mean() - 0.04) < 6 * error for each, error in zip(centred, errors, strict=True)]) > 0.5
    assert sum(not believable(tail_shape(losses(seed, 1000, freedom=2.0))) for seed in SEEDS) >= 98


@pytest.mark.parametrize("shape", [0.3, 0.7, 1.2])
def test_the_shape_is_that_of_the_law(shape):
    draws = np.random.default_rng(1).pareto(1 / shape, size=(4, 10_000))
    tail = 3 * math.sqrt(draws.size)
    # The standard deviation of a shape from that many draws of a Pareto tail is (1 + k) / √M.
    assert tail_shape(draws) == pytest.approx(shape, abs=4 * (1 + shape) / math.sqrt(tail))


def test_the_fit_is_that_of_smoothed_weights():
    """The twin pulls its shape towards one half by a prior worth ten draws."""
    draws = np.random.default_rng(2).pareto(2.0, size=10_000)
    tail = int(3 * math.sqrt(draws.size))
    _, twin = array_stats.psislw(-np.log(draws))
    assert (tail * tail_shape(draws) + 10 * 0.5) / (tail + 10) == pytest.approx(float(twin), abs=0.02)


def test_atoms_are_no_heavy_tail():
    source = np.random.default_rng(3)
    assert tail_shape(np.ones(500)) == -math.inf
    assert tail_shape(source.integers(0, 3, 500)) == -math.inf
    assert believable(tail_shape((source.random(20_000) < 0.01).astype(float)))
    assert math.isnan(tail_shape((source.random(20_000) < 1e-4).astype(float)))


def test_too_few_draws_say_nothing_and_infinite_ones_all():
    assert math.isnan(tail_shape(np.arange(199.0)))
    assert believable(math.nan)
    assert tail_shape(np.array([1.0, math.inf])) == math.inf
    assert not believable(math.inf)


def test_atoms_may_meet_a_point_of_the_grid_where_the_law_is_exponential():
    """With 400 values, a quarter of them at a third of the largest, one point of the grid is θ = 0 exactly."""
    above = np.repeat([1.0, 2.0, 3.0], [150, 150, 100])
    values = np.concatenate([np.zeros(17_400), above])  # the tail is 3√S draws long: 400 of 17 800
    near = np.where(values == 1, 1 + 1e-9, values)
    assert np.isfinite(tail_shape(values))
    assert tail_shape(values) == pytest.approx(tail_shape(near), abs=1e-6)
