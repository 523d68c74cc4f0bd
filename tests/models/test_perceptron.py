"""Perceptrons: the fast form against the Pyro program, one layer changed at a time, the first layer in the span."""

from __future__ import annotations

import numpy as np
import pyro
import pytest
import torch
from scipy import stats
from sweeps import assert_a_sweep_gives_the_whole, assert_what_lies_below_is_kept

from bayesgc.models import MLP
from bayesgc.models.networks.whitened_mlp import WhitenedMLP
from bayesgc.task import Inputs
from bayesgc.validate import InputError

DRAWS = 7
MODELS = {
    "relu": MLP((5, 4)),
    "relu with biases": MLP((5, 4), bias=True),
    "tanh, uniform": MLP((6,), "tanh", bias=True, prior="uniform", scaling="unit"),
    "linear model": MLP((), "linear", bias=True),
    "signs": MLP((4, 3), prior="rademacher", scaling="kaiming"),
    "by layer": MLP((4, 3), prior=("student-t:df=4", "gaussian", "laplace")),
}


def inputs(train: int = 6, features: int = 9, test: int = 8, outputs: int = 3) -> Inputs:
    source = np.random.default_rng(0)
    return Inputs(source.standard_normal((train, features)), source.standard_normal((test, features)), outputs)


def normals(whitened: WhitenedMLP, seed: int, draws: int = DRAWS) -> torch.Tensor:
    source = torch.Generator().manual_seed(seed)
    return whitened.draw(source, draws, device=torch.device("cpu"), dtype=torch.float64)


@pytest.mark.parametrize("name", MODELS)
def test_the_fast_form_is_the_program(name):
    model, domain = MODELS[name], inputs()
    whitened = model.whiten(domain, weights=True)
    column = normals(whitened, 0)
    weights = whitened.weights(column)
    with pyro.poutine.condition(data=weights):
        expected = model.program(domain)()
    assert expected.shape == (DRAWS, 6, 3)
    torch.testing.assert_close(whitened.vectors(column), expected.flatten(1).T, check_dtype=False)
    tested = model.program(Inputs(domain.test, None, 3))
    with pyro.poutine.condition(data=weights):
        torch.testing.assert_close(
            whitened.held_out(column, torch.Generator()), tested().flatten(1).T, check_dtype=False
        )


@pytest.mark.parametrize("name", MODELS)
def test_descent_sees_the_same_outputs(name):
    model, domain = MODELS[name], inputs()
    whitened = model.whiten(domain, weights=True)
    column = normals(whitened, 1)
    found = model.network(domain).raw(whitened.weights(column), torch.from_numpy(domain.train).expand(DRAWS, -1, -1))
    torch.testing.assert_close(found.flatten(1).T, whitened.vectors(column))


@pytest.mark.parametrize("reduced", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_a_sweep_gives_the_outputs_of_the_whole(name, reduced):
    whitened = MODELS[name].whiten(inputs(), weights=not reduced)
    assert_a_sweep_gives_the_whole(whitened, normals(whitened, 0), normals(whitened, 1))


@pytest.mark.parametrize("name", ["relu with biases", "signs", "by layer"])
def test_a_sweep_that_looks_before_a_change_is_noticed(name):
    """The negative control of the test above: what lies below the second layer is then that of the old first one."""
    whitened = MODELS[name].whiten(inputs())
    assert_what_lies_below_is_kept(whitened, normals(whitened, 0), normals(whitened, 1))


def test_the_first_layer_takes_as_many_normals_as_the_inputs_span():
    domain = inputs(train=6, features=9)
    assert MLP((5, 4)).whiten(domain).size == 5 * 6 + 4 * 5 + 3 * 4
    assert MLP((5, 4)).whiten(domain, weights=True).size == 5 * 9 + 4 * 5 + 3 * 4
    assert MLP((5, 4), bias=True).whiten(domain).size == 5 * 6 + 4 * 6 + 3 * 5
    # No fewer where the inputs span everything, or the law is not Gaussian.
    assert MLP((5,)).whiten(inputs(train=12, features=9)).size == 5 * 9 + 3 * 5
    assert MLP((5,), prior="uniform").whiten(domain).size == 5 * 9 + 3 * 5
    repeated = Inputs(np.repeat(domain.train[:2], 3, axis=0), None, 3)
    assert MLP((5,)).whiten(repeated).size == 5 * 2 + 3 * 5


def test_the_span_needs_no_svd_and_keeps_all_inner_products(monkeypatch):
    """LAPACK's SVD did not converge on some processors for images whose borders are nearly empty."""

    def fails(*_args, **_kwargs):
        raise np.linalg.LinAlgError("SVD did not converge")

    monkeypatch.setattr(np.linalg, "svd", fails)
    source = np.random.default_rng(3)
    images = source.standard_normal((30, 40)) * np.where(np.arange(40) < 25, 1.0, 1e-310)
    images[:, 33:] = 0.0
    whitened = MLP((5,)).whiten(Inputs(images[:8], images[8:], 3))
    seen = whitened._seen
    assert (seen.rank, len(seen.missed.array)) == (8, 25 - 8)
    train, test = seen.train.array, np.concatenate([seen.test.array, seen.missed.array])
    np.testing.assert_allclose(train.T @ train, images[:8] @ images[:8].T, atol=1e-12)
    np.testing.assert_allclose(test.T @ test, images[8:] @ images[8:].T, atol=1e-12)
    np.testing.assert_allclose(train.T @ seen.test.array, images[:8] @ images[8:].T, atol=1e-12)


def test_outputs_have_one_law_with_and_without_the_span():
    """By the inner product of outputs at a training input and at test inputs, which the span must not change."""
    domain, model, draws = inputs(features=12), MLP((4,), "linear", bias=True), 20_000
    found = []
    for weights in (True, False):
        whitened = model.whiten(domain, weights=weights)
        column = normals(whitened, 2 + weights, draws)
        held_out = whitened.held_out(column, torch.Generator().manual_seed(5))
        found.append((whitened.vectors(column)[0] * held_out[0], held_out[4] * held_out[9], held_out[1]))
    for one, other in zip(*found, strict=True):
        assert stats.ks_2samp(one.numpy(), other.numpy()).pvalue > 1e-3
    # Negative control: without what the training inputs miss, the test outputs are too small.
    whitened = model.whiten(domain)
    whitened._seen = type(whitened._seen)(whitened._seen.train, whitened._seen.test, None, whitened._seen.rank, True)
    short = whitened.held_out(normals(whitened, 2, draws), torch.Generator())[1]
    assert stats.ks_2samp(found[0][2].numpy(), short.numpy()).pvalue < 1e-6


@pytest.mark.parametrize(
    ("scaling", "expected"), [("fan-in", 9**-0.5), ("fan-out", 5**-0.5), ("kaiming", (2 / 9) ** 0.5), ("unit", 1.0)]
)
@pytest.mark.parametrize("bias", [False, True])
def test_the_bias_has_the_scale_of_its_layer_and_is_not_counted(scaling, expected, bias):
    law = MLP((5,), bias=bias, scaling=scaling).laws(inputs(features=9))["W1"]
    assert law.event_shape == (5, 9 + bias)
    torch.testing.assert_close(law.base_dist.scale, torch.full((5, 9 + bias), expected))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": (5, 0)}, "width is 0"),
        ({"activation": "sine"}, "activation is 'sine'"),
        ({"scaling": "wide"}, "scaling is 'wide'"),
        ({"prior": "gausian"}, "gausian"),
    ],
    ids=str,
)
def test_what_is_no_perceptron_is_refused(changes, message):
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        MLP(**changes)


def test_a_perceptron_needs_inputs():
    with pytest.raises(InputError, match="an array of shape"):
        MLP().whiten((5, 5))


def test_networks_of_the_same_inputs_share_what_they_see_and_others_do_not():
    domain = inputs()
    first, deeper = MLP((5,)).whiten(domain), MLP((5, 4)).whiten(domain)
    assert deeper._seen is first._seen
    assert MLP((5,), bias=True).whiten(domain)._seen is not first._seen
    assert MLP((5,)).whiten(domain, weights=True)._seen is not first._seen
    assert MLP((5,)).whiten(inputs())._seen is not first._seen
