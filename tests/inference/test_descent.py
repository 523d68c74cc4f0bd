"""Gradient descent: the hand-written gradient, the update rules, the starts and the stops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from problems import criterion
from scipy import stats

from bayesgc.inference import Control, GradientDescent
from bayesgc.inference.descent import gradient_descent as descent
from bayesgc.inference.descent.backpropagation import weights_of
from bayesgc.inference.descent.optimizers import OPTIMIZERS
from bayesgc.inference.descent.products import starts_are_last
from bayesgc.models import ACTIVATIONS, CPFactorization, MatrixFactorization, TensorTrain
from bayesgc.task import completion, sensing
from bayesgc.validate import InputError

TASKS = {"sensing": sensing(3, 4, 1, 7, seed=0), "completion": completion(4, 3, 1, 6, seed=0)}
TASK = TASKS["sensing"]
MODEL = MatrixFactorization(depth=2, width=5)


def random_factors(model, task, *more, restarts=3, seed=0):
    factors = weights_of(model, [task, *more], restarts, torch.device("cpu"), torch.float64)
    factors.flat.normal_(generator=torch.Generator().manual_seed(seed))
    return factors


def descend(model=MODEL, task=TASK, eps=0.01, seed=0, dtype=torch.float64, **options):
    problem = criterion(model, task, eps, dtype)
    return GradientDescent(**{"restarts": 4, "steps": 50} | options).run(model, problem, seed, Control())


# --- the gradient -----------------------------------------------------------------------------------------------------


def loss_by_autograd(layers, task, activation):
    """The training loss of every restart, from matrix products that torch can differentiate."""
    value = layers[0]
    for layer in layers[1:]:
        value = torch.einsum("rij,rjk->rik", layer, activation(value))
    return task.train_loss(value.flatten(1).T)


WIDTHS = [(), (1,), (1, 1), (2,), (2, 3), (4, 4, 4, 4), (2, 3, 4, 5), (40, 3, 40)]
"""Of all shapes, of one shape after another, and larger than what torch multiplies by a plain loop."""


@pytest.mark.parametrize("restarts", [1, 3, 200])
@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("widths", WIDTHS, ids=str)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradient_is_that_of_autograd(name, widths, task, restarts):
    model = MatrixFactorization(depth=len(widths) + 1, width=widths or 5, activation=name)
    factors = random_factors(model, task, restarts=restarts)
    if 1 not in widths:  # where it depends on the sides of the task
        assert starts_are_last(factors.flat) is (restarts == 200 and 40 not in widths)
    leaves = [layer.clone().requires_grad_() for layer in factors.layers]
    expected = loss_by_autograd(leaves, task, ACTIVATIONS[name])
    gradients = torch.autograd.grad(expected.sum(), leaves)
    torch.testing.assert_close(factors.backpropagate()[0].square().mean(1), expected.detach())
    for ours, theirs in zip(factors.gradients, gradients, strict=True):
        torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(task.train_loss(factors.vectors().T), expected.detach())


@pytest.mark.parametrize("model", [MatrixFactorization(depth=4, width=(6, 6, 3)), CPFactorization(2, 3)], ids=str)
def test_starts_that_are_kept_are_as_before(model):
    # Few of many starts lie in another order in memory; each task keeps another number of them.
    whole = random_factors(model, *(sensing(3, 4, 1, 7, seed=seed) for seed in range(3)), restarts=40)
    residual, vectors = (each.clone() for each in whole.backpropagate())
    chosen = torch.zeros(120, dtype=torch.bool)
    chosen[[0, 7, 45, 81, 82, 119]] = True
    part = whole.keep(chosen)
    for ours, theirs in zip(part.layers, whole.layers, strict=True):
        torch.testing.assert_close(ours, theirs[chosen], rtol=0, atol=0)
    torch.testing.assert_close(part.backpropagate(), (residual[chosen], vectors[chosen]))
    torch.testing.assert_close(part.gradient, whole.gradient[chosen])
    again = torch.tensor([True, False, True, False, False, True])
    torch.testing.assert_close(part.keep(again).backpropagate()[0], residual[chosen][again])


# --- the update rules -------------------------------------------------------------------------------------------------


def gradients(steps=40, weights=6, restarts=3):
    source = torch.Generator().manual_seed(1)
    return torch.randn(steps, restarts, weights, generator=source, dtype=torch.float64)


def path(name, lr=0.05, momentum=0.0):
    """The positions that an optimizer passes through under a fixed sequence of gradients."""
    sequence = gradients()
    position = torch.zeros_like(sequence[0])
    rule = OPTIMIZERS[name].build(lr, momentum, position)
    positions = []
    for step, gradient in enumerate(sequence, start=1):
        rule.move(position, gradient, step)
        positions.append(position.clone())
    return torch.stack(positions)


def torch_path(build):
    sequence = gradients()
    leaf = torch.zeros_like(sequence[0]).requires_grad_()
    optimizer = build([leaf])
    positions = []
    for gradient in sequence:
        leaf.grad = gradient
        optimizer.step()
        positions.append(leaf.detach().clone())
    return torch.stack(positions)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("name", ["gd", "momentum"])
def test_heavy_ball_is_that_of_torch(name, momentum):
    expected = torch_path(lambda leaves: torch.optim.SGD(leaves, lr=0.05, momentum=momentum))
    torch.testing.assert_close(path(name, momentum=momentum), expected)


def test_adam_is_that_of_torch():
    expected = torch_path(lambda leaves: torch.optim.Adam(leaves, lr=0.05))
    torch.testing.assert_close(path("adam"), expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_group_rmsprop_by_its_formula(momentum):
    # One average of ‖g‖² for all weights of a restart, α = 0.99, bias-corrected, ε = 1e-6 outside the root.
    positions = []
    for restart in range(3):
        position, velocity, average = np.zeros(6), np.zeros(6), 0.0
        for step, gradient in enumerate(gradients()[:, restart].numpy(), start=1):
            average = 0.99 * average + 0.01 * np.sum(gradient**2)
            velocity = momentum * velocity + 0.05 * gradient / (math.sqrt(average / (1 - 0.99**step)) + 1e-6)
            position = position - velocity
            positions.append(position)
    expected = torch.from_numpy(np.array(positions)).reshape(3, 40, 6).permute(1, 0, 2)
    torch.testing.assert_close(path("group-rmsprop", momentum=momentum), expected)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_fits(name):
    found = descend(optimizer=name, lr=0.2 if name in ("gd", "momentum") else 0.02, steps=3000, init_scale=0.3)
    assert found.converged.all()
    assert (found.quantities["train_loss"] < 0.01).all()


def test_momentum_changes_the_iterates():
    plain, heavy = descend(momentum=0.0), descend(momentum=0.9)
    assert not torch.allclose(plain.end_to_end, heavy.end_to_end)
    assert heavy.configuration["momentum"] == 0.9


# --- starts -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", [0.001, 0.5])
def test_small_starts_are_uniform_within_their_bound(scale):
    model = MatrixFactorization(depth=3, width=(6, 2))
    method = GradientDescent(init_scale=scale, restarts=200)
    factors = method.start(model, [criterion(model, TASK, dtype=torch.float64)], 0)
    for layer in factors.layers:
        bound = scale / math.sqrt(layer.shape[2])
        assert stats.kstest(layer.flatten().numpy() / bound, stats.uniform(-1, 2).cdf).pvalue > 1e-3
        # Negative control: bounds by the rows, as the prior's scaling has them, are seen.
        wrong = scale / math.sqrt(layer.shape[1])
        assert stats.kstest(layer.flatten().numpy() / wrong, stats.uniform(-1, 2).cdf).pvalue < 1e-3


@pytest.mark.parametrize(
    ("prior", "law"), [("gaussian", stats.norm()), ("uniform", stats.uniform(-1, 2))], ids=["gaussian", "uniform"]
)
def test_starts_at_the_prior_have_its_law(prior, law):
    model = MatrixFactorization(depth=3, width=(6, 2), prior=prior, normalize=True)
    method = GradientDescent(init="prior", restarts=60)
    factors = method.start(model, [criterion(model, TASK, dtype=torch.float64)], 0)
    for layer in factors.layers:
        assert stats.kstest(layer.flatten().numpy() * math.sqrt(layer.shape[1]), law.cdf).pvalue > 1e-3


@pytest.mark.parametrize("init", ["small", "prior"])
def test_a_restart_does_not_depend_on_how_many_there_are(init):
    few, many = (descend(restarts=restarts, init=init, init_scale=0.1) for restarts in (3, 8))
    torch.testing.assert_close(many.end_to_end[:3], few.end_to_end, rtol=1e-9, atol=1e-12)
    assert len({round(float(loss), 12) for loss in many.quantities["train_loss"]}) == 8


def test_seeds_differ_and_repeat():
    first, same, other = (descend(seed=seed, init_scale=0.1).end_to_end for seed in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.isclose(first, other).any()


# --- several tasks ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [sensing, completion])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_tasks_together_end_as_they_do_apart(make, optimizer):
    # Starts on three tasks stop at different steps, so that some leave the batch before others.
    model = MatrixFactorization(depth=3, width=4, activation="tanh")
    criteria = [criterion(model, make(3, 4, 1, 7, seed=seed), 0.01, torch.float64) for seed in range(3)]
    lr = 0.2 if optimizer in ("gd", "momentum") else 0.02
    method = GradientDescent(optimizer=optimizer, lr=lr, steps=1500, init_scale=0.3, tol=1e-3, restarts=3)
    together = method.run_together(model, criteria, 0, Control())
    steps = torch.stack([found.steps for found in together])
    assert len(steps.unique()) > 3
    for found, problem in zip(together, criteria, strict=True):
        apart = method.run(model, problem, 0, Control())
        # Rounding differs between batch shapes, and a path of many steps magnifies it.
        assert (found.steps - apart.steps).abs().max() <= 1
        torch.testing.assert_close(found.end_to_end, apart.end_to_end, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(
            found.quantities["train_loss"], problem.task.train_loss(found.end_to_end.flatten(1).T)
        )


@pytest.mark.parametrize("most", [2 * 3 * 7 * 12 - 1, 2 * 3 * 7 * 12])
def test_too_many_measurements_for_one_batch_run_task_by_task(monkeypatch, most):
    model = MatrixFactorization(depth=2, width=3)
    criteria = [criterion(model, sensing(3, 4, 1, 7, seed=seed), 0.01) for seed in range(3)]
    monkeypatch.setattr(descent, "MOST_MEASURED", most)
    batches, plain = [], descent.weights_of

    def counted(model, tasks, *rest):
        batches.append(len(tasks))
        return plain(model, tasks, *rest)

    monkeypatch.setattr(descent, "weights_of", counted)
    method = GradientDescent(steps=50, init_scale=0.3, restarts=2)
    found = method.run_together(model, criteria, 0, Control())
    assert batches == ([3] if most == 2 * 3 * 7 * 12 else [1, 1, 1])
    for one, problem in zip(found, criteria, strict=True):
        torch.testing.assert_close(one.end_to_end, method.run(model, problem, 0, Control()).end_to_end)


def test_the_trace_leads_to_the_end():
    found = descend(steps=3000, init_scale=0.5, lr=0.02, restarts=5, tol=0.01)
    assert found.trace is not None
    steps = list(found.trace)
    assert steps[:4] == [1, 2, 3, 4]
    assert (found.trace[1] > 0.01).all()
    # The last note lies at most a factor 10^(1/8) before the end; the starts that left by then are where they ended.
    assert found.steps.max() / 10 ** (1 / 8) - 1 < steps[-1] <= found.steps.max() + 100
    goal = 0.01 * TASK.zero_train_loss
    ended = (found.steps < steps[-1]).numpy()
    assert ended.any()
    assert (found.trace[steps[-1]][ended] <= goal).all()


# --- stops ------------------------------------------------------------------------------------------------------------


def test_a_restart_below_the_tolerance_is_frozen():
    options = {"init_scale": 0.5, "tol": 0.01, "restarts": 6}
    early, late = descend(steps=3000, **options), descend(steps=6000, **options)
    goal = 0.01 * TASK.zero_train_loss
    assert (early.quantities["train_loss"] <= goal).all()
    assert (early.steps < 3000).all()
    assert len(early.steps.unique()) > 1
    torch.testing.assert_close(early.end_to_end, late.end_to_end, rtol=0, atol=0)
    # One step fewer was not enough: the first restart to stop is above the goal then.
    first = int(early.steps.argmin())
    before = descend(steps=int(early.steps[first]) - 1, **options)
    assert before.quantities["train_loss"][first] > goal


def test_without_a_tolerance_every_step_is_made():
    found = descend(steps=500, tol=0.0, init_scale=0.5, lr=0.01)
    assert found.steps.tolist() == [500] * 4


def test_restarts_that_did_not_fit_are_counted():
    found = descend(steps=1, eps=1e-6)
    assert not found.converged.any()
    assert found.steps.tolist() == [1] * 4


def test_a_diverging_restart_spoils_nothing_else():
    found = descend(optimizer="gd", lr=500.0, init="prior", steps=60, dtype=torch.float32)
    assert not found.converged.any()
    assert found.diverged.all()
    assert not found.at_eps.reached.any()
    assert found.end_to_end.shape == (4, 3, 4)


@pytest.mark.parametrize(("optimizer", "lr"), [("gd", 500.0), ("group-rmsprop", 3000.0)])
def test_a_restart_that_diverged_is_not_said_to_have_fitted(optimizer, lr):
    told = []
    method = GradientDescent(optimizer=optimizer, lr=lr, init="prior", steps=200, restarts=4)
    found = method.run(MODEL, criterion(MODEL, TASK, 0.01), 0, Control(report=told.append))
    assert found.diverged.all()
    assert [each.detail.replace(",", "").split()[:2] for each in told] == [["0", "fitted"]] * len(told)
    assert told
    assert ("4 diverged" in told[-1].detail) is (optimizer == "gd")  # the other's loss explodes and stays finite
    healthy = descend(steps=2000, restarts=4, init_scale=0.5)
    assert not healthy.diverged.any()


def test_an_interrupted_descent_ends_with_what_it_has():
    control = Control()
    control.interrupt()
    problem = criterion(MODEL, TASK)
    found = GradientDescent(steps=100_000, tol=0.0, restarts=2).run(MODEL, problem, 0, control)
    assert (found.steps < 1000).all()


def test_a_single_layer_descends():
    found = descend(MatrixFactorization(depth=1), optimizer="gd", lr=0.2, steps=2000, tol=1e-3)
    assert bool(found.converged.all())
    torch.testing.assert_close(found.quantities["train_loss"], TASK.train_loss(found.end_to_end.flatten(1).T))


def test_the_raw_product_is_fitted():
    found = descend(MatrixFactorization(depth=2, normalize=True), steps=20)
    norms = torch.linalg.matrix_norm(found.end_to_end)
    assert (norms < 0.5).all()


# --- choices ----------------------------------------------------------------------------------------------------------

PAPER = [
    ("linear", 2, 20_000, 1e-3),
    ("linear", 4, 20_000, 1e-3),
    ("linear", 5, 20_000, 0.1),
    ("tanh", 8, 20_000, 0.1),
    ("tanh", 9, 20_000, 0.2),
    ("linear", 10, 20_000, 0.2),
    ("leaky-relu", 4, 50_000, 1e-3),
    ("leaky-relu", 8, 50_000, 0.1),
    ("leaky-relu", 10, 50_000, 0.1),
]


@pytest.mark.parametrize(("activation", "depth", "steps", "init_scale"), PAPER)
def test_open_choices_are_those_of_the_paper(activation, depth, steps, init_scale):
    chosen = GradientDescent().resolved(MatrixFactorization(depth=depth, activation=activation), (5, 5))
    assert (chosen.optimizer, chosen.lr, chosen.momentum) == ("group-rmsprop", 1e-2, 0.0)
    assert (chosen.steps, chosen.init_scale) == (steps, init_scale)


def test_given_choices_are_kept():
    given = GradientDescent(optimizer="momentum", steps=7, init_scale=0.3, momentum=0.5)
    assert given.resolved(MODEL, (5, 5)) == given
    assert GradientDescent(optimizer="momentum").resolved(MODEL, (5, 5)).momentum == 0.9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"optimizer": "sgd"}, "gd optimizer is 'sgd'; choose one of group-rmsprop, gd, momentum, adam"),
        ({"init": "zero"}, "gd init is 'zero'; choose one of small, prior"),
        ({"lr": 0.0}, "gd learning rate is 0.0; it must be a finite number greater than 0"),
        ({"lr": math.nan}, "gd learning rate is nan"),
        ({"tol": -1.0}, "gd tolerance is -1.0; it must be a finite number at least 0"),
        ({"restarts": 0}, "restarts is 0; it must be a whole number at least 1"),
        ({"steps": 0}, "gd steps is 0; it must be a whole number at least 1"),
        ({"init_scale": 0.0}, "gd init scale is 0.0; it must be a finite number greater than 0"),
        ({"momentum": 1.0}, "gd momentum is 1.0; it must be a finite number at least 0 and at most 0.9999"),
        ({"optimizer": "adam", "momentum": 0.5}, "gd momentum does not apply to adam"),
    ],
)
def test_choices_are_checked(options, message):
    with pytest.raises(InputError, match=message):
        GradientDescent(**options)


# --- tensors ----------------------------------------------------------------------------------------------------------

TENSOR = sensing(shape=(3, 4, 2), rank=1, measurements=14, seed=0)
TENSOR_FAMILIES = [CPFactorization, TensorTrain]


@pytest.mark.parametrize("family", TENSOR_FAMILIES)
@pytest.mark.parametrize("activation", ["linear", "tanh"])
@pytest.mark.parametrize("depth", [2, 3])
def test_gradient_of_a_tensor_is_that_of_finite_differences(family, depth, activation):
    factors = random_factors(family(depth, 3, activation), TENSOR)
    loss = factors.backpropagate()[0].square().mean(1)
    torch.testing.assert_close(loss, TENSOR.train_loss(factors.vectors().T))
    step, here = 1e-6, factors.flat.clone()
    for weight in range(0, here.shape[1], 5):
        sides = []
        for sign in (1, -1):
            factors.flat.copy_(here)
            factors.flat[:, weight] += sign * step
            sides.append(TENSOR.train_loss(factors.vectors().T))
        slope = (sides[0] - sides[1]) / (2 * step)
        torch.testing.assert_close(factors.gradient[:, weight], slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", TENSOR_FAMILIES)
def test_descent_on_a_tensor_of_order_two_is_that_on_the_matrix(family):
    """The gradients are by differentiation and by hand, the starts the same."""
    ours, theirs = descend(family(2, 5)), descend(MODEL)
    torch.testing.assert_close(ours.end_to_end, theirs.end_to_end, rtol=1e-8, atol=1e-12)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("family", TENSOR_FAMILIES)
def test_small_starts_find_a_tensor_of_rank_one(family):
    found = descend(family(2, 6), TENSOR, steps=6000, eps=1e-4, dtype=torch.float32)
    assert found.converged.all()
    assert found.end_to_end.shape == (4, 3, 4, 2)
    # Greedy rank search (Razin, Maman and Cohen 2021): the truth, where the zero predictor is off by ‖b‖²/|B|.
    assert found.quantities["gen_loss"].median() < 0.05 * TENSOR.zero_gen_loss
    assert found.quantities["effective_rank"].median() < 1.2
