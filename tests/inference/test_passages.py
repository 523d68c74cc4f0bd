"""Gradient descent at equal fit: its first passage of ε and of every level of its curve, against a slow twin."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from problems import criterion

from bayesgc.inference import Control, GradientDescent
from bayesgc.inference.descent import steps
from bayesgc.inference.descent.optimizers import OPTIMIZERS
from bayesgc.models import MatrixFactorization, as_model
from bayesgc.task import sensing

TASK = sensing(3, 4, 1, 7, seed=0)
MODEL = MatrixFactorization(depth=3, width=4)
EPS = 0.01
METHOD = GradientDescent(lr=0.04, steps=300, init_scale=0.5, restarts=5)


def descend(eps=EPS, tol=1e-4, thresholds=(), **options):
    method = GradientDescent(**({"lr": 0.04, "steps": 300, "init_scale": 0.5, "restarts": 5} | options), tol=tol)
    return method.run(MODEL, criterion(MODEL, TASK, eps, torch.float64), 0, Control(), thresholds)


def walk(method):
    """The product of every restart after each number of steps, one step at a time."""
    factors = method.start(MODEL, [criterion(MODEL, TASK, EPS, torch.float64)], 0)
    rule = OPTIMIZERS[method.optimizer].build(method.lr, 0.0, factors.flat)
    found = []
    with torch.no_grad():
        for step in range(1, method.steps + 1):
            found.append(factors.vectors().clone())
            factors.backpropagate()
            rule.move(factors.flat, factors.gradient, step)
    return torch.stack([*found, factors.vectors()])


@pytest.fixture(scope="module")
def states():
    return walk(METHOD)


def first(states, threshold):
    """The first step of each restart at or below a threshold, by looking at every one."""
    losses = TASK.train_loss(states.flatten(0, 1).T).unflatten(0, states.shape[:2])
    return [next((i for i, loss in enumerate(column) if loss <= threshold), None) for column in losses.T.tolist()]


@pytest.mark.parametrize("block", [1, 7, 2**24])
def test_the_state_at_eps_is_the_first_at_or_below_it(states, block, monkeypatch):
    monkeypatch.setattr(steps, "_KEPT", block * 5 * 12)
    found = descend()
    passed = first(states, EPS)
    assert found.at_eps.steps.tolist() == passed
    assert len(set(passed)) > 1
    expected = torch.stack([states[step, restart] for restart, step in enumerate(passed)])
    torch.testing.assert_close(found.at_eps.end_to_end.flatten(1), expected)
    torch.testing.assert_close(found.at_eps.quantities["gen_loss"], TASK.gen_loss(expected.T))
    assert (found.at_eps.steps < found.steps).all()
    # Negative control: the step before it does not fit yet.
    before = torch.stack([states[step - 1, restart] for restart, step in enumerate(passed)])
    assert (TASK.train_loss(before.T) > EPS).all()


def test_the_curve_holds_the_first_state_at_or_below_each_threshold(states):
    found = descend(thresholds=[0.005, math.inf, EPS])
    threshold = found.curve.threshold
    assert (np.diff(threshold) < 0).all()
    assert {0.005, EPS} <= set(threshold.tolist())
    for level in range(0, len(threshold), 9):
        for restart, step in enumerate(first(states, threshold[level])):
            losses = found.curve.train_loss[restart, level], found.curve.gen_loss[restart, level]
            if step is None or threshold[level] < 1e-4 * TASK.zero_train_loss:
                continue  # the descent ends above it
            vector = states[step, restart][:, None]
            assert losses == pytest.approx((float(TASK.train_loss(vector)), float(TASK.gen_loss(vector))), rel=1e-6)


@pytest.mark.parametrize("tol", [0.5, EPS / TASK.zero_train_loss, 0.1])
def test_a_loose_tolerance_changes_the_end_and_nothing_before(states, tol):
    strict, loose = descend(), descend(tol=tol)
    torch.testing.assert_close(loose.at_eps.end_to_end, strict.at_eps.end_to_end, rtol=0, atol=0)
    goal = first(states, tol * TASK.zero_train_loss)
    assert loose.steps.tolist() == goal
    expected = torch.stack([states[step, restart] for restart, step in enumerate(goal)])
    torch.testing.assert_close(loose.end_to_end.flatten(1), expected)


def test_what_never_passed_has_no_numbers():
    found = descend(eps=1e-9, steps=50)
    assert not found.at_eps.reached.any()
    assert found.at_eps.quantities["gen_loss"].isnan().all()
    assert (found.at_eps.steps == -1).all()
    assert descend(eps=0.0, steps=5).at_eps is None


def test_the_last_update_counts():
    passed = descend().at_eps.steps
    found = descend(steps=int(passed.min()))
    assert found.at_eps.reached.tolist() == (passed == passed.min()).tolist()
    assert found.converged.tolist() == found.at_eps.reached.tolist()


def test_a_program_descends_to_equal_fit_too():
    whitened = as_model(MODEL.program(TASK.shape)).whiten(TASK.shape)
    problem = criterion(MODEL, TASK, EPS, torch.float64)
    method = GradientDescent(lr=0.04, steps=150, restarts=3, tol=0.5)
    found = method.run_program(whitened, problem, 0, Control())
    assert found.at_eps.reached.all()
    assert (found.at_eps.quantities["train_loss"] <= EPS).all()
    assert (found.at_eps.steps > found.steps).all()
    level = found.curve.threshold.tolist().index(EPS)
    np.testing.assert_allclose(found.curve.gen_loss[:, level], found.at_eps.quantities["gen_loss"], rtol=1e-6)


def test_what_diverged_is_left_where_its_loss_first_was_no_number():
    method = GradientDescent(optimizer="gd", lr=500.0, init="prior", steps=150, restarts=5)
    found = method.run(MODEL, criterion(MODEL, TASK, EPS, torch.float64), 0, Control())
    states = walk(method)
    lost = TASK.residual(states.flatten(0, 1).T).square().mean(0).unflatten(0, states.shape[:2]).isnan()
    assert found.diverged.all()
    assert found.steps.tolist() == lost.int().argmax(0).tolist()
    expected = torch.stack([states[step, restart] for restart, step in enumerate(found.steps.tolist())])
    torch.testing.assert_close(found.end_to_end.flatten(1), expected, rtol=0, atol=0, equal_nan=True)
