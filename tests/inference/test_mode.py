"""The mode: closed forms of linear nets, what is refused and why, and the optimiser underneath."""

from __future__ import annotations

import math

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from problems import CPU
from scipy import optimize

from bayesgc.inference import Control, Criterion, MaximumAPosteriori
from bayesgc.inference.descent.annealing import AnnealedPosterior
from bayesgc.inference.descent.mode import why_no_map, why_not_by_default
from bayesgc.inference.descent.quasi_newton import minimise
from bayesgc.models import MatrixFactorization, ProgramModel
from bayesgc.models.factorization.density import peak
from bayesgc.task import ArrayTask, DenseMeasurements, completion, sensing
from bayesgc.task.array.affine import best_fits
from bayesgc.task.array.nuclear import minimum_nuclear_norm
from bayesgc.validate import InputError

TASKS = {
    "5×5": sensing(),
    "rank two": sensing(5, 5, 2, 10, seed=1),
    "wide": sensing(4, 6, 1, 12, seed=3),
    "tall, cells": completion(6, 4, 1, 15, seed=2),
}
FEW = MaximumAPosteriori(restarts=3)


def linear(depth=2, width=5, **options):
    return MatrixFactorization(depth=depth, width=width, **{"normalize": False} | options)


def found(model, task=TASKS["5×5"], method=FEW, seed=0, control=None):
    problem = Criterion(task, model.whiten(task.shape), 0.01, CPU, torch.float32)
    return method.run(model, problem, seed, control or Control())


def scales(model, task):
    """s_j of a Gaussian model with the default scaling."""
    return np.array([rows**-0.5 for rows, _ in model.layer_shapes(task.shape)])


def schatten(matrix, depth, product_of_scales):
    """(d/2) (Π s_j)^(−2/d) Σ σ_i^(2/d), the least energy of weights whose product is the matrix."""
    singular = np.linalg.svd(matrix, compute_uv=False)
    return depth / 2 * product_of_scales ** (-2 / depth) * np.sum(singular ** (2 / depth))


# --- closed forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_at_depth_two_it_is_the_fit_of_least_nuclear_norm(name, unchecked):
    task, model = TASKS[name], linear()
    expected = minimum_nuclear_norm(task).end_to_end
    norm = np.linalg.svd(expected, compute_uv=False).sum()
    mode = found(model, task)
    assert mode.converged.all()
    np.testing.assert_allclose(mode.quantities["nuclear_norm"], norm, rtol=1e-5)
    energy = norm / scales(model, task).prod()
    np.testing.assert_allclose(mode.energy, energy, rtol=1e-5)
    for matrix in mode.end_to_end.numpy():
        assert np.linalg.norm(matrix - expected) < 1e-3 * np.linalg.norm(expected)
    # Negative control: a scale of one layer that is wrong by a percent is seen.
    wrong = norm / (1.01 * scales(model, task).prod())
    assert abs(float(mode.energy[0]) / wrong - 1) > 1e-3


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_fits_exactly(task, unchecked):
    mode = found(linear(depth=3), task)
    relative = (mode.quantities["train_loss"] / task.zero_train_loss).sqrt()
    assert bool((relative[mode.converged] <= 1e-6).all())
    assert mode.converged.all()


def test_at_depth_one_it_is_the_least_squares_fit(unchecked):
    task = TASKS["wide"]
    mode = found(linear(depth=1), task)
    point = best_fits(task).point.reshape(task.shape)
    np.testing.assert_allclose(mode.end_to_end[0], point, atol=1e-5)
    np.testing.assert_allclose(mode.energy, task.shape[0] * np.sum(point**2) / 2, rtol=1e-5)


def least_schatten(task, power, starts=6):
    """The least Σ σ_i^p over exact fits, by a smoothed, annealed descent over the kernel from many starts."""
    fits = best_fits(task)
    kernel = task.measurements.complement.dense()
    rng = np.random.default_rng(0)

    def smooth(free, softness):
        left, singular, right = np.linalg.svd((fits.point + free @ kernel).reshape(task.shape), full_matrices=False)
        level = singular**2 + softness**2
        gradient = (left * (power * singular * level ** (power / 2 - 1))) @ right
        return np.sum(level ** (power / 2)), kernel @ gradient.ravel()

    def descend(free):
        for softness in np.geomspace(0.3, 1e-5, 9):
            free = optimize.minimize(smooth, free, (softness,), jac=True, method="L-BFGS-B", options={"maxiter": 50}).x
        return smooth(free, 0.0)[0]

    return min(descend(0.5 * rng.standard_normal(len(kernel))) for _ in range(starts))


@pytest.mark.parametrize("task", [sensing(4, 4, 2, 9, seed=1), completion(4, 4, 2, 9, seed=0)], ids=["dense", "cells"])
def test_at_depth_three_it_is_the_least_schatten_quasi_norm(task, unchecked):
    model = linear(depth=3)
    mode = found(model, task, MaximumAPosteriori(restarts=8))
    product = scales(model, task).prod()
    expected = 3 / 2 * product ** (-2 / 3) * least_schatten(task, 2 / 3)
    # The twin's singular values end near its softness of 1e-5, which to the power 2/3 is 5e-4 for each of them.
    assert float(mode.energy[mode.converged].min()) == pytest.approx(expected, rel=5e-4)


@pytest.mark.parametrize("depth", [2, 3, 4])
def test_energy_is_the_quasi_norm_of_the_matrix(depth, unchecked):
    task, model = TASKS["tall, cells"], linear(depth=depth)
    mode = found(model, task)
    for matrix, energy in zip(mode.end_to_end.numpy(), mode.energy.numpy(), strict=True):
        # Zero singular values are zero to some 1e-9, and enter as the power 2/d of it.
        assert energy == pytest.approx(schatten(matrix, depth, scales(model, task).prod()), rel=1e-3)


def test_layers_share_the_energy_equally(unchecked):
    task, model = TASKS["wide"], linear(depth=3, width=(5, 7))
    program = model.program(task.shape)
    starts = model.whiten(task.shape, weights=True).weights(
        torch.randn(137, 2, dtype=torch.float64, generator=seeded())
    )
    with pyro.validation_enabled(False), pyro.get_param_store().scope():
        posterior = AnnealedPosterior(program, task, starts)
        posterior.noise = torch.tensor(1e-2, dtype=torch.float64)
        everything = torch.ones(2, dtype=torch.bool)
        mode = minimise(posterior.loss, posterior.point, everything, tolerance=1e-7, steps=2000)
    sizes = [math.prod(shape) for shape in model.layer_shapes(task.shape)]
    shares = [part.square().sum(1) for part in mode.point.split(sizes, dim=1)]
    energies = np.stack([share.numpy() for share in shares]) / scales(model, task)[:, None] ** 2
    # Balance holds at every temperature, since rescaling one layer against another leaves the matrix as it is.
    np.testing.assert_allclose(energies[1:], energies[:1].repeat(2, 0), rtol=1e-4)


def seeded():
    return torch.Generator().manual_seed(0)


def test_width_changes_the_scale_alone(unchecked):
    task = TASKS["wide"]
    narrow, wide = (found(linear(depth=3, width=width), task) for width in (4, 9))
    energies = [float(mode.energy[mode.converged].min()) for mode in (narrow, wide)]
    # Π s_j falls from 4^(−1)·s_d to 9^(−1)·s_d with fan-out scaling.
    assert energies[1] / energies[0] == pytest.approx((9 / 4) ** (2 / 3), rel=1e-4)
    best = [mode.end_to_end[mode.energy.argmin()].numpy() for mode in (narrow, wide)]
    np.testing.assert_allclose(best[1], best[0], atol=1e-4)


def test_energy_counts_from_the_peak_of_a_shifted_prior(unchecked):
    """At depth one with mean m, the mode is the fit nearest to m."""
    task, model = TASKS["5×5"], linear(depth=1, prior="gaussian:mean=0.5")
    center = np.full(25, 0.5 * 5**-0.5)
    nearest = best_fits(task).project(center)
    mode = found(model, task)
    np.testing.assert_allclose(mode.end_to_end[0].flatten(), nearest, atol=1e-5)
    np.testing.assert_allclose(mode.energy, 5 / 2 * np.sum((nearest - center) ** 2), rtol=1e-4)


def test_energy_counts_from_the_peak_of_a_prior_with_a_flat_layer(unchecked):
    """The flat layer costs nothing inside its box, so that the other one's Gaussian is all the energy there is."""
    task, model = sensing(3, 3, 1, 4, seed=1), linear(prior="gaussian,uniform")
    gaussian = -15 / 2 * math.log(2 * math.pi / 5)
    assert peak(model, task.shape) == pytest.approx(gaussian - 15 * math.log(2 * 3**-0.5), rel=1e-5)
    control = Control()
    control.interrupt()  # that energies are there is all that is asked
    mode = found(model, task, control=control)
    assert mode.energy.isfinite().all()
    assert (mode.energy > 0).all()


def test_a_smooth_nonlinear_net_has_one_too(unchecked):
    mode = found(linear(depth=2, activation="tanh"))
    assert mode.converged.all()
    # Near zero tanh is the identity from below: it needs a little more than the linear net.
    assert 5.0 < float(mode.energy.min()) < 5.5


# --- programs ---------------------------------------------------------------------------------------------------------


def hierarchical():
    scale = pyro.sample("scale", dist.LogNormal(0.0, 0.5))
    return scale[..., None, None] * pyro.sample("w", dist.Normal(0.0, 1.0).expand([5, 5]).to_event(2))


def test_a_hierarchical_program_agrees_with_its_profile(unchecked):
    """Given the scale the mode is the least-squares fit, which leaves one number to minimise over."""
    task = TASKS["5×5"]
    mode = found(ProgramModel(hierarchical, batched=True), task)
    square = float(np.sum(best_fits(task).point ** 2))
    law = dist.LogNormal(torch.tensor(0.0, dtype=torch.float64), 0.5)

    def energy(log_scale):
        height = float(law.log_prob(torch.tensor(math.exp(log_scale), dtype=torch.float64)))
        return square / (2 * math.exp(2 * log_scale)) + 12.5 * math.log(2 * math.pi) - height

    assert mode.converged.all()
    np.testing.assert_allclose(mode.energy, optimize.minimize_scalar(energy).fun, rtol=1e-5)


def normalised():
    value = pyro.sample("w", dist.Normal(0.0, 1.0).expand([5, 5]).to_event(2))
    return value / torch.linalg.matrix_norm(value, keepdim=True)


def gated():
    gate = pyro.sample("gate", dist.Bernoulli(0.5))
    return gate[..., None, None] * pyro.sample("w", dist.Normal(0.0, 1.0).expand([5, 5]).to_event(2))


def loose():
    return pyro.sample("w", dist.Normal(0.0, 1.0).expand([5, 5]))


def layer(family, *parameters):
    return lambda rows, cols: family(*parameters).expand([rows, cols]).to_event(2)


REFUSALS = {
    "normalised": (MatrixFactorization(), "shrink for free"),
    "uniform": (linear(prior="uniform"), r"flat \(Uniform\)"),
    "flat by its parameters": (linear(prior=layer(dist.Beta, 1.0, 1.0)), r"flat \(Beta\)"),
    "unbounded": (linear(prior=layer(dist.Gamma, 0.5, 1.0)), r"'W1' \(Gamma\) is unbounded"),
    "unbounded above": (linear(prior=layer(dist.Beta, 2.0, 0.5)), "unbounded"),
    "discrete": (ProgramModel(gated, batched=True), r"'gate' is discrete \(Bernoulli\)"),
    "normalised program": (ProgramModel(normalised, batched=True), "halving all weights"),
    "one draw a call": (ProgramModel(hierarchical), "batched=True"),
    "not one event": (ProgramModel(loose, batched=True), r"to_event\(2\)"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refuses_where_there_is_no_mode(case):
    model, message = REFUSALS[case]
    task = TASKS["5×5"]
    problem = Criterion(task, linear().whiten(task.shape), 0.01, CPU, torch.float32)
    with pytest.raises(InputError, match=message) as caught:
        MaximumAPosteriori().run(model, problem, 0, Control())
    assert str(caught.value) == why_no_map(model, task)


@pytest.mark.parametrize("family", [(dist.Gamma, 2.0, 1.0), (dist.HalfNormal, 1.0), (dist.Cauchy, 0.0, 1.0)], ids=str)
def test_does_not_refuse_bounded_densities(family):
    assert why_no_map(linear(prior=layer(*family)), TASKS["5×5"]) is None


def test_refuses_a_fit_that_does_not_exist():
    rows = np.eye(4)[[0, 0, 1]]
    task = ArrayTask("data", (2, 2), DenseMeasurements((2, 2), rows), np.array([0.0, 1.0, 1.0]), None, {})
    assert "no matrix fits" in str(why_no_map(linear(), task))


def test_is_left_out_by_default_where_it_may_take_long():
    shape = (5, 5)
    assert why_not_by_default(linear(depth=4), shape) is None
    for slow in (linear(depth=5), linear(width=10**6), linear(activation="relu"), ProgramModel(hierarchical)):
        assert "`map=True`" in str(why_not_by_default(slow, shape))


@pytest.mark.parametrize(("options", "message"), [({"restarts": 0}, "map restarts is 0"), ({"chill": 0}, "map chill")])
def test_hyperparameters_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        MaximumAPosteriori(**options)


# --- how it runs ------------------------------------------------------------------------------------------------------


def test_a_width_too_small_to_fit_is_not_converged(unchecked):
    mode = found(linear(width=1), sensing(5, 5, 2, 15, seed=0))
    assert not mode.converged.any()


def test_one_seed_repeats_and_leaves_every_global_state_alone(unchecked):
    task, model = sensing(3, 4, 1, 7, seed=0), linear(depth=3)
    before = torch.get_rng_state()
    first = found(model, task, seed=4)
    with pyro.get_param_store().scope() as outside:
        second = found(model, task, seed=4)
        assert not outside["params"]
    assert torch.equal(first.end_to_end, second.end_to_end)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(found(model, task, seed=5).end_to_end, first.end_to_end)


def test_more_restarts_change_none_of_the_first(unchecked):
    task, model = sensing(3, 4, 1, 7, seed=0), linear(depth=3)
    few, more = (found(model, task, MaximumAPosteriori(restarts=count)) for count in (2, 4))
    # Batches of another size round differently, and both end within the tolerance.
    np.testing.assert_allclose(more.energy[:2], few.energy, rtol=1e-5)


def test_an_interruption_ends_it_with_what_it_has(unchecked):
    control = Control()
    control.interrupt()
    mode = found(linear(), control=control)
    assert not mode.converged.any()
    assert mode.end_to_end.isfinite().all()


def test_progress_is_reported(unchecked):
    stages = []
    found(linear(), control=Control(report=lambda progress: stages.append((progress.stage, progress.done))))
    assert stages[0] == ("MAP", 1)


def test_shapes_are_those_the_signatures_say():
    """With the run-time checks on."""
    mode = found(linear(), sensing(2, 3, 1, 3), MaximumAPosteriori(restarts=2))
    assert mode.end_to_end.shape == (2, 2, 3)
    assert mode.energy.shape == (2,)


# --- the optimiser ----------------------------------------------------------------------------------------------------


def test_quasi_newton_solves_independent_problems():
    """Quadratics of very different curvature, and Rosenbrock's valley."""
    curvature = torch.tensor([[1.0, 1e4], [1e-3, 1.0]], dtype=torch.float64)

    def both(point):
        x, y = point[2]
        valley = 100 * (y - x**2) ** 2 + (1 - x) ** 2
        slope = torch.stack([-400 * x * (y - x**2) - 2 * (1 - x), 200 * (y - x**2)])
        bowls = (curvature * (point[:2] - 1) ** 2).sum(1) / 2
        return torch.cat([bowls, valley[None]]), torch.cat([curvature * (point[:2] - 1), slope[None]])

    start = torch.tensor([[3.0, -2.0], [5.0, 0.0], [-1.2, 1.0]], dtype=torch.float64)
    going = torch.ones(3, dtype=torch.bool)
    reached = minimise(both, start, going, tolerance=1e-9, steps=200)
    torch.testing.assert_close(reached.point, torch.ones_like(start), atol=1e-4, rtol=0)
    still = minimise(both, start, ~going, tolerance=1e-9, steps=200)
    assert torch.equal(still.point, start)
