"""Layers drawn anew: exact where the data are drawn from the model itself, and caught where the noise is another."""

from __future__ import annotations

import math

import pytest
import torch
from collapsed_problems import COMPLETION, SENSING, collapsed_target, unnormalised
from problems import errors_apart

from bayesgc.inference.collapsed import gibbs
from bayesgc.inference.collapsed.gibbs import sweep_layers
from bayesgc.models.factorization.products import row_product

VARIANCE, DRAWS = 0.02, 20_000
TASKS = {"sensing": SENSING, "completion": COMPLETION}


@pytest.fixture(params=TASKS.values(), ids=TASKS.keys())
def task(request):
    return request.param


def after_a_sweep(task, model, monkeypatch, noise=VARIANCE):
    """Hidden layers after a sweep, where every draw of them and of the data comes from the prior and the model.

    So their law is the prior again, if the sweep is told the true variance (Geweke 2004).
    """
    collapsed = collapsed_target(model, task).collapsed
    source = torch.Generator().manual_seed(0)
    normals = torch.randn(collapsed.size, DRAWS, generator=source, dtype=torch.float64)
    features = collapsed.features(normals)
    last = torch.randn(task.unfolding[0], features.shape[0], DRAWS, generator=source, dtype=torch.float64)
    measured = task.measurements.apply(row_product(last, features).flatten(0, 1))
    data = measured + math.sqrt(noise) * torch.randn(measured.shape, generator=source, dtype=torch.float64)
    heard = gibbs._heard

    def heard_of_each(task, like, variance, generator):
        return data.T + heard(task, like, variance, generator) - torch.as_tensor(task.targets)

    monkeypatch.setattr(gibbs, "_heard", heard_of_each)
    return normals, sweep_layers(task, collapsed, normals, VARIANCE, source)


def apart(values, expected):
    return errors_apart(float(values.mean()), expected, float(values.std()) / math.sqrt(len(values)))


@pytest.mark.parametrize("widths", [(4,), (2, 3, 2)], ids=["two layers", "four layers"])
def test_layers_drawn_anew_keep_their_law(task, widths, monkeypatch):
    before, after = after_a_sweep(task, unnormalised(len(widths) + 1, widths), monkeypatch)
    for power, expected in ((1, 0.0), (2, 1.0), (4, 3.0)):
        assert apart(after.pow(power).mean(0), expected) < 4
    # They move far, and remember what the data say.
    assert 0.1 < float((before * after).mean()) < 0.6


def test_a_sweep_for_another_noise_is_caught(task, monkeypatch):
    _, after = after_a_sweep(task, unnormalised(2, 4), monkeypatch, noise=8 * VARIANCE)
    assert apart(after.square().mean(0), 1.0) > 6


def test_what_cannot_be_solved_stays(task):
    collapsed = collapsed_target(unnormalised(3, 4), task).collapsed
    normals = torch.randn(collapsed.size, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    normals[:, 2] = torch.inf
    moved = sweep_layers(task, collapsed, normals, VARIANCE, torch.Generator().manual_seed(1))
    assert (moved[:, 2] == normals[:, 2]).all()
    assert (moved[:, [0, 1, 3, 4]] != normals[:, [0, 1, 3, 4]]).any(0).all()


def test_only_products_of_gaussian_layers_are_drawn_anew(task):
    others = [unnormalised(2, 4, "tanh"), unnormalised(1), unnormalised(3, 40)]
    for model in others:
        assert len(collapsed_target(model, task).collapsed.gaussian_scales) < 2
    assert len(collapsed_target(unnormalised(3, 4), task).collapsed.gaussian_scales) == 3
