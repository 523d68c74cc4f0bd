"""Products of many layers: right, finite, and of unit norm where asked."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bayesgc.models import ACTIVATIONS, MatrixFactorization
from bayesgc.models.factorization.products import chain, product


def layers_of(model, shape, draws, dtype=torch.float32, seed=0):
    whitened = model.whiten(shape)
    z = torch.randn(whitened.size, draws, generator=torch.Generator().manual_seed(seed), dtype=dtype)
    return whitened, z


@pytest.mark.parametrize("draws", [1, 7, 3000])
def test_product_of_each_draw(draws):
    # Few draws go all at once, many as rank-one updates.
    source = torch.Generator().manual_seed(0)
    left = torch.randn(3, 4, draws, generator=source, dtype=torch.float64)
    right = torch.randn(4, 5, draws, generator=source, dtype=torch.float64)
    expected = torch.einsum("ijb,jkb->ikb", left, right)
    torch.testing.assert_close(product(left, right), expected)
    out = torch.full_like(expected, torch.nan)
    product(left, right, out=out)
    torch.testing.assert_close(out, expected)


@pytest.mark.parametrize("name", ["linear", "leaky-relu"])
@pytest.mark.parametrize("scaling", ["fan-out", "unit"])
@pytest.mark.parametrize("depth", [16, 200, 1000])
def test_long_normalised_products_have_unit_norm(depth, scaling, name):
    # Unnormalised their norm is near e^(−107) or e^(700) at depth 1000, beyond float32 either way.
    model = MatrixFactorization(depth=depth, activation=name, scaling=scaling)
    whitened, z = layers_of(model, (5, 5), 20)
    norms = torch.linalg.vector_norm(whitened.vectors(z), dim=0)
    torch.testing.assert_close(norms, torch.ones(20), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    "model",
    [
        MatrixFactorization(depth=15, width=640, scaling="unit"),
        MatrixFactorization(depth=20, width=300, scaling="unit"),
        MatrixFactorization(depth=16, scaling="unit", prior="gaussian:mean=10"),
        MatrixFactorization(depth=100, prior="uniform", activation="tanh"),
    ],
    ids=["wide", "wide and deep", "large mean", "shrinking tanh"],
)
def test_squares_out_of_range_do_not_spoil_the_norm(model):
    # Entries near 1e21 or 1e-24 are fine in float32; their squares are not.
    whitened, z = layers_of(model, (5, 5), 4)
    norms = torch.linalg.vector_norm(whitened.vectors(z), dim=0)
    torch.testing.assert_close(norms, torch.ones(4), rtol=1e-5, atol=0)


def test_a_rescaled_product_points_where_the_plain_one_does():
    model = MatrixFactorization(depth=40, width=(6,) * 39)
    whitened, z = layers_of(model, (3, 4), 10, torch.float64)
    layers = [layer.movedim(-1, 0) for layer in whitened.layers(z)]
    plain = torch.linalg.multi_dot([layers[39][0], *(layer[0] for layer in reversed(layers[:39]))])
    ours = whitened.vectors(z)[:, 0].reshape(3, 4)
    torch.testing.assert_close(ours, plain / torch.linalg.matrix_norm(plain), rtol=1e-9, atol=1e-12)


def test_the_scale_of_a_long_unnormalised_product():
    # Depth 300 with unit scaling: the norm grows as e^(0.7 · 300), in range for float64 alone.
    model = MatrixFactorization(depth=300, scaling="unit", normalize=False)
    whitened, z = layers_of(model, (5, 5), 8, torch.float64)
    found = torch.linalg.vector_norm(whitened.vectors(z), dim=0).log().numpy()
    expected = [_log_norm([layer[..., draw].numpy() for layer in whitened.layers(z)]) for draw in range(8)]
    assert min(expected) > 150
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def _log_norm(layers):
    """The log of the Frobenius norm of a product, rescaled after every factor."""
    value, total = np.eye(layers[0].shape[1]), 0.0
    for layer in layers:
        value = layer @ value
        norm = np.linalg.norm(value)
        value, total = value / norm, total + np.log(norm)
    return total


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("depth", [2, 20])
def test_dead_relu_nets_are_zero(depth, normalize):
    # Width 1: half of all hidden layers are dead, at depth 20 nearly every net.
    model = MatrixFactorization(depth=depth, width=1, activation="relu", normalize=normalize)
    whitened, z = layers_of(model, (2, 1), 200)
    vectors = whitened.vectors(z)
    dead = (vectors == 0).all(0)
    assert vectors.isfinite().all()
    assert dead.any()
    # At one input the net is dead unless all depth − 1 units are active: half of the nets at depth 2, ± 5 errors.
    assert abs(float(dead.double().mean()) - (1 - 2.0 ** (1 - depth))) < 5 * (0.25 / 200) ** 0.5
    if normalize:
        norms = torch.linalg.vector_norm(vectors[:, ~dead], dim=0)
        torch.testing.assert_close(norms, torch.ones_like(norms))


def test_one_layer_has_no_activation():
    layer = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(0))
    value, log_scale = chain(layer, [], ACTIVATIONS["relu"])
    assert torch.equal(value, layer)
    assert log_scale is None
