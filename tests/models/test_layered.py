"""A pass over the layers of a factorisation gives what the whole would, and knows what changed below."""

from __future__ import annotations

import pyro.distributions as dist
import pytest
import torch
from sweeps import assert_a_sweep_gives_the_whole, assert_what_lies_below_is_kept

from bayesgc.models import (
    CPFactorization,
    MatrixFactorization,
    TensorTrain,
    TriangularFactors,
    WhitenedFactors,
    register_transport,
)
from bayesgc.models.transports import registry

MATRIX, TENSOR = (4, 5), (3, 4, 2)
MODELS = {
    "linear": (MatrixFactorization(depth=4, width=3), MATRIX),
    "unnormalised": (MatrixFactorization(depth=2, width=3, normalize=False), MATRIX),
    "long": (MatrixFactorization(depth=21, width=3, scaling="unit"), MATRIX),
    "long, unnormalised": (MatrixFactorization(depth=13, width=(4, 3) * 6, normalize=False), MATRIX),
    "triangular": (MatrixFactorization(depth=3, width=40), MATRIX),
    "tanh": (MatrixFactorization(depth=4, width=3, activation="tanh"), MATRIX),
    "long tanh": (MatrixFactorization(depth=19, width=3, activation="tanh", normalize=False), MATRIX),
    "leaky, heavy tails": (MatrixFactorization(depth=3, activation="leaky-relu", prior="student-t:df=4"), MATRIX),
    "sum": (CPFactorization(depth=3, width=3), TENSOR),
    "train": (TensorTrain(depth=2, width=3, activation="tanh"), TENSOR),
}


def columns(whitened, seed: int, draws: int = 40) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return torch.randn(whitened.size, draws, generator=source, dtype=torch.float64)


@pytest.mark.parametrize("name", MODELS)
def test_a_sweep_gives_the_arrays_of_the_whole(name):
    model, shape = MODELS[name]
    whitened = model.whiten(shape)
    assert isinstance(whitened, TriangularFactors) == (name == "triangular")
    assert len(whitened.blocks) == len(model.layer_shapes(shape))
    assert_a_sweep_gives_the_whole(whitened, columns(whitened, 0), columns(whitened, 1))


@pytest.mark.parametrize("name", ["linear", "tanh", "train"])
def test_a_sweep_that_looks_before_a_change_is_noticed(name):
    model, shape = MODELS[name]
    whitened = model.whiten(shape)
    assert_what_lies_below_is_kept(whitened, columns(whitened, 0), columns(whitened, 1))


def test_a_long_pass_stays_within_the_range_of_numbers():
    """Of 400 layers the norm is near e^(280) or beyond, which single precision does not hold."""
    whitened = MatrixFactorization(depth=400, width=5, scaling="unit").whiten((5, 5))
    column = columns(whitened, 0, draws=5).float()
    sweep = whitened.sweep(column)
    for place, rows in enumerate(whitened.blocks):
        if place:
            sweep.advance()
        torch.testing.assert_close(sweep.vectors(column[rows]).square().sum(0), torch.ones(5))


class Folded(dist.Normal):
    """Made of normals, with a transport of its own."""


def test_a_class_made_of_normals_keeps_its_own_transport(monkeypatch):
    monkeypatch.setattr(registry, "TRANSPORTS", dict(registry.TRANSPORTS))
    register_transport(Folded)(lambda law, z: law.scale * z.abs())
    model = MatrixFactorization(
        depth=2, width=3, prior=lambda *size: Folded(0.0, 1.0).expand(size).to_event(2), normalize=False
    )
    whitened = model.whiten(MATRIX)
    assert isinstance(whitened, WhitenedFactors)
    assert min(layer.min() for layer in whitened.weights(columns(whitened, 0)).values()) >= 0
