"""What a matrix factorisation accepts, and the sizes of its layers."""

from __future__ import annotations

import pyro.distributions as dist
import pytest
import torch

from bayesgc.models import ACTIVATIONS, MatrixFactorization
from bayesgc.validate import InputError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depth": 0}, "depth is 0; it must be a whole number at least 1"),
        ({"depth": True}, "depth is True; it must be a whole number"),
        ({"width": 0}, "width is 0; it must be a whole number at least 1"),
        ({"depth": 3, "width": (4, -1)}, "width is -1; it must be a whole number at least 1"),
        ({"depth": 3, "width": (4,)}, r"width is \(4,\); a depth of 3 has 2 hidden layers"),
        ({"activation": "gelu"}, "activation is 'gelu'; choose one of linear, tanh, leaky-relu, relu"),
        ({"prior": "cauchy"}, "prior is 'cauchy'; choose one of gaussian, uniform"),
        ({"scaling": "xavier"}, "scaling is 'xavier'; choose one of fan-out, fan-in, kaiming, unit"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        MatrixFactorization(**options)


def test_layers_run_from_the_input_to_the_output():
    assert MatrixFactorization(depth=3, width=(7, 4)).layer_shapes((3, 5)) == [(7, 5), (4, 7), (3, 4)]
    assert MatrixFactorization(depth=3, width=6).layer_shapes((3, 5)) == [(6, 5), (6, 6), (3, 6)]
    assert MatrixFactorization(depth=1).layer_shapes((3, 5)) == [(3, 5)]


def test_only_matrices_have_factors():
    with pytest.raises(InputError, match=r"shape \(2, 3, 4\); a matrix factorisation needs \(rows, cols\)"):
        MatrixFactorization().whiten((2, 3, 4))


def test_a_prior_function_is_the_final_law_of_each_matrix():
    def prior(rows, cols):
        return dist.Normal(10.0 * rows, 1e-3).expand([rows, cols]).to_event(2)

    whitened = MatrixFactorization(depth=2, width=4, prior=prior, scaling="fan-in").whiten((3, 5))
    weights = whitened.weights(torch.zeros(whitened.size, 1))
    assert weights["W1"].unique() == 40.0
    assert weights["W2"].unique() == 30.0


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_what_an_activation_says_of_itself(name):
    activation = ACTIVATIONS[name]
    x = torch.linspace(-3, 3, 30, dtype=torch.float64, requires_grad=True)
    out = activation(x)
    (slope,) = torch.autograd.grad(out.sum(), x)
    torch.testing.assert_close(activation.slope(out.detach()), slope)
    assert torch.allclose(activation(-x), -out) == activation.odd
    assert torch.allclose(activation(2.5 * x), 2.5 * out) == activation.homogeneous
    assert activation.summary
