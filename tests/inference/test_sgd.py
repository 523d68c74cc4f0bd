"""Stochastic gradient descent: against a plain loop of torch's own, its stops, and what is noted on the way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from problems import CPU

from bayesgc.inference import SGD, Control, Criterion
from bayesgc.models import MLP
from bayesgc.task import classification, regression
from bayesgc.validate import InputError

SOURCE = np.random.default_rng(0)
LABELS = np.arange(30) % 2
INPUTS = SOURCE.standard_normal((30, 4)) + 1.5 * (2 * LABELS - 1)[:, None]
TASK = classification(INPUTS[:8], LABELS[:8], test=(INPUTS[8:], LABELS[8:]))
MODEL = MLP((5, 3), bias=True)


def criterion(task=TASK, eps=0.0, model=MODEL) -> Criterion:
    return Criterion(task, model.whiten(task.domain), eps, CPU, torch.float64)


def train(method: SGD, task=TASK, eps=0.0, seed=0, model=MODEL):
    return method.run(model, criterion(task, eps, model), seed, Control())


def test_full_batches_are_the_descent_of_torch():
    method = SGD(batch=None, epochs=20, restarts=2, tol=0.0, init="prior", lr=0.05)
    found = train(method)
    start = train(SGD(batch=None, epochs=1, restarts=2, tol=0.0, init="prior", lr=1e-300))
    for restart in range(2):
        layers = _layers_at_prior(restart)
        torch.testing.assert_close(_outputs(layers, INPUTS[:8]), start.end_to_end[restart])
        optimizer = torch.optim.SGD(layers, lr=0.05)
        for _ in range(20):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(_outputs(layers, INPUTS[:8]), torch.from_numpy(LABELS[:8])).backward()
            optimizer.step()
        torch.testing.assert_close(found.end_to_end[restart], _outputs(layers, INPUTS[:8]).detach())


def _layers_at_prior(restart: int) -> list[torch.Tensor]:
    from bayesgc.inference.streams import Stream, generator

    whitened = MODEL.whiten(TASK.domain, weights=True)
    column = whitened.draw(generator(0, Stream.DESCENT, restart, CPU), 1, device=CPU, dtype=torch.float64)
    return [layer[0].clone().requires_grad_() for layer in whitened.weights(column).values()]


def _outputs(layers: list[torch.Tensor], inputs: np.ndarray) -> torch.Tensor:
    value = torch.from_numpy(inputs)
    for place, layer in enumerate(layers):
        value = (value.relu() if place else value) @ layer[:, :-1].T + layer[:, -1]
    return value


@pytest.mark.parametrize("optimizer", ["gd", "momentum", "adam"])
def test_starts_come_to_fit_and_say_where_they_first_did(optimizer):
    found = train(SGD(optimizer=optimizer, lr=0.03, restarts=6, tol=0.1))
    assert found.converged.sum() >= 4
    fitted = found.at_eps.reached
    assert (found.at_eps.quantities["train_errors"][fitted] == 0).all()
    assert (found.at_eps.steps[fitted] <= found.steps[fitted]).all()
    assert (found.quantities["train_errors"][found.converged] == 0).all()
    assert found.quantities["test_error"][found.converged].mean() < 0.4
    assert not found.diverged.any()


def test_a_start_stops_at_its_tolerance_and_not_before():
    loose, tight = (train(SGD(optimizer="adam", restarts=3, tol=tol)) for tol in (0.3, 0.05))
    ended = loose.converged & tight.converged
    assert ended.any()
    assert (loose.steps[ended] < tight.steps[ended]).all()
    whole = train(SGD(restarts=2, tol=0.0, epochs=5))
    assert (whole.steps == 5 * 4).all()


def test_a_start_whose_units_are_all_dead_is_left_and_no_other():
    found = train(SGD(batch=2, epochs=40, restarts=40, tol=0.0), model=MLP((2, 1)))
    dead = (found.end_to_end == 0).flatten(1).all(1)
    assert 0 < int(dead.sum()) < 40
    assert (found.steps[dead] < 40 * 4).all()
    assert (found.steps[~dead] == 40 * 4).all()
    assert not found.converged[dead].any()


def test_a_start_depends_on_the_seed_and_its_number_alone():
    few, many = train(SGD(restarts=2, epochs=5)), train(SGD(restarts=5, epochs=5))
    other = train(SGD(restarts=2, epochs=5), seed=1)
    torch.testing.assert_close(few.end_to_end, many.end_to_end[:2])
    assert not torch.allclose(few.end_to_end, other.end_to_end)


def test_a_kaiming_start_has_its_spread_and_no_biases():
    from bayesgc.inference.descent.sgd import _starts

    wide = MLP((400,), bias=True)
    _, [flat] = _starts(SGD(restarts=1), wide, wide.network(TASK.inputs), criterion(model=wide), 0)
    first = flat[: 400 * 5].view(400, 5)
    assert (first[:, -1] == 0).all()
    # Of a uniform law on ±√(6/4): variance ½, whose estimate from 1600 numbers has an error of 1.4 %... times 0.9.
    assert float(first[:, :-1].var()) == pytest.approx(2 / 4, rel=0.06)


def test_a_rate_that_is_too_large_is_counted_as_diverged():
    found = train(SGD(lr=1e6, restarts=3, epochs=3))
    assert found.diverged.sum() >= 2
    # One that was thrown to where it happens to fit has not diverged.
    assert not (found.diverged & found.converged).any()


def test_numbers_are_fitted_too():
    targets = np.tanh(INPUTS[:, 0])
    task = regression(INPUTS[:8], targets[:8], test=(INPUTS[8:], targets[8:]))
    found = train(SGD(optimizer="adam", restarts=4), task, eps=0.05)
    assert found.converged.any()
    assert (found.quantities["train_loss"][found.converged] < 0.05).all()
    assert "gen_loss" in found.quantities


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"optimizer": "group-rmsprop"}, "gd optimizer is 'group-rmsprop'"),
        ({"init": "small"}, "gd init is 'small'"),
        ({"batch": 0}, "gd batch is 0"),
        ({"epochs": 0}, "gd epochs is 0"),
        ({"optimizer": "adam", "momentum": 0.5}, "does not apply to adam"),
    ],
    ids=str,
)
def test_what_is_no_protocol_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        SGD(**changes)


def test_too_many_weights_are_refused_before_they_are_made():
    wide = MLP((40_000, 40_000))
    with pytest.raises(InputError, match="would not fit into memory; `restarts="):
        SGD().run(wide, criterion(), 0, Control())
