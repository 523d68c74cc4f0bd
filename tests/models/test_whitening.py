"""Whitening: the same law from standard normals, whatever the program, and the fast path the same numbers."""

from __future__ import annotations

import itertools

import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

from bayesgc.models import ACTIVATIONS, SCALINGS, MatrixFactorization, ProgramModel, WhitenedProgram, as_model
from bayesgc.validate import InputError

SHAPE = (3, 4)


def normals(whitened, count, seed=0, dtype=torch.float64):
    return torch.randn(whitened.size, count, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def norms(vectors):
    return torch.linalg.vector_norm(vectors, dim=0).double().numpy()


GRID = {
    "-".join(map(str, options)): dict(
        zip(["activation", "prior", "scaling", "normalize", "depth", "width"], options, strict=True)
    )
    for options in [
        *itertools.product(ACTIVATIONS, ["gaussian", "uniform:mean=0.3"], SCALINGS, [True, False], [3], [5]),
        ("linear", "gaussian", "fan-out", True, 1, 5),
        ("tanh", "uniform", "fan-in", False, 1, ()),
        ("relu", "gaussian", "fan-out", True, 4, (2, 6, 3)),
        ("leaky-relu", "uniform", "unit", False, 3, (7, 1)),
        ("tanh", "gaussian", "unit", True, 2, (9,)),
    ]
}


@pytest.mark.parametrize("options", GRID.values(), ids=GRID.keys())
def test_the_fast_path_is_the_program_under_the_handler(options):
    model = MatrixFactorization(**options)
    fast = model.whiten(SHAPE, weights=True)
    z = normals(fast, 6)
    for batched in (True, False):
        slow = WhitenedProgram(model.program(SHAPE), SHAPE, batched=batched)
        assert slow.size == fast.size
        torch.testing.assert_close(fast.vectors(z), slow.vectors(z), rtol=1e-6, atol=1e-9)
        expected = slow.weights(z)
        found = fast.weights(z)
        assert list(found) == list(expected)
        for name in found:
            torch.testing.assert_close(found[name], expected[name], rtol=1e-6, atol=1e-9)


def hierarchical():
    """A random scale, then columns with a shared random mean."""
    scale = pyro.sample("scale", dist.LogNormal(0.0, 0.5))
    with pyro.plate("cols", 4):
        loc = pyro.sample("loc", dist.Normal(0.0, scale))
    noise = pyro.sample("noise", dist.Laplace(0.0, 1.0).expand([3, 4]).to_event(2))
    return loc + scale * noise


ROW = dist.MultivariateNormal(torch.zeros(4), 0.5 * torch.eye(4) + 0.5)


def correlated():
    """Rows from one multivariate normal."""
    with pyro.plate("rows", 3):
        return pyro.sample("row", ROW)


PROGRAMS = {
    "gaussian": MatrixFactorization(depth=3).program(SHAPE),
    "uniform tanh": MatrixFactorization(depth=2, prior="uniform", activation="tanh", normalize=False).program(SHAPE),
    "relu": MatrixFactorization(depth=2, width=8, activation="relu", normalize=False).program(SHAPE),
    "hierarchical": hierarchical,
    "correlated": correlated,
}
FUNCTIONALS = {
    "norm": torch.linalg.matrix_norm,
    "corner": lambda w: w[:, 0, 0],
    "largest singular value": lambda w: torch.linalg.matrix_norm(w, ord=2),
}


def own_draws(program, count):
    """Draws by Pyro's own sampling, from its global generator."""
    with torch.random.fork_rng():
        pyro.set_rng_seed(1234)
        return torch.stack([program() for _ in range(count)]).double()


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_law_is_that_of_the_program_itself(name):
    program = PROGRAMS[name]
    direct = own_draws(program, 800)
    whitened = WhitenedProgram(program, SHAPE, batched=False)
    ours = whitened.vectors(normals(whitened, 4000, dtype=torch.float32)).T.unflatten(-1, SHAPE).double()
    for functional in FUNCTIONALS.values():
        # 15 tests of a fixed seed: under equal laws some p < 1e-4 has a chance of 0.15 %.
        assert stats.ks_2samp(functional(direct).numpy(), functional(ours).numpy()).pvalue > 1e-4


def test_the_comparison_sees_a_wrong_law():
    # Negative control: normals of variance 1.5 in place of 1, unnormalised so that the norm can tell.
    program = PROGRAMS["uniform tanh"]
    whitened = WhitenedProgram(program, SHAPE, batched=False)
    wrong = norms(whitened.vectors(1.5 * normals(whitened, 4000, dtype=torch.float32)))
    direct = torch.linalg.matrix_norm(own_draws(program, 800))
    assert stats.ks_2samp(direct.numpy(), wrong).pvalue < 1e-4


def test_hierarchical_sites_come_back_with_their_shapes():
    whitened = as_model(hierarchical).whiten(SHAPE)
    assert whitened.size == 1 + 4 + 2 * 12  # a Laplace variable takes a second normal for its scale
    weights = whitened.weights(normals(whitened, 5))
    assert {name: tuple(value.shape) for name, value in weights.items()} == {
        "scale": (5,),
        "loc": (5, 4),
        "noise": (5, 3, 4),
    }


def test_observed_and_subsample_sites_pass_through():
    def program():
        value = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 4]).to_event(2))
        pyro.sample("seen", dist.Normal(value.sum(), 1.0), obs=torch.tensor(2.0))
        with pyro.plate("data", 10, subsample_size=10):
            pyro.sample("also seen", dist.Normal(0.0, 1.0), obs=torch.zeros(10))
        pyro.deterministic("twice", 2 * value)
        return value

    whitened = WhitenedProgram(program, SHAPE, batched=False)
    assert whitened.size == 12
    z = normals(whitened, 3)
    torch.testing.assert_close(whitened.vectors(z), z, rtol=0, atol=0)
    assert list(whitened.weights(z)) == ["w"]


def returns(value):
    def program():
        pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 4]).to_event(2))
        return value

    return program


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (returns(torch.zeros(4, 3)), r"the model returned \(4, 3\); it must return one tensor of .* \(3, 4\)"),
        (returns(None), "the model returned NoneType; it must return one tensor"),
        (lambda: torch.zeros(3, 4), "the model has no latent sample site"),
        (
            lambda: pyro.sample("spread", dist.Poisson(1.0)) * torch.ones(3, 4),
            "site 'spread' has the distribution Poisson, which has no transport",
        ),
    ],
)
def test_a_program_that_breaks_the_contract(program, message):
    with pytest.raises(InputError, match=message):
        as_model(program).whiten(SHAPE)


def test_the_plain_run_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    as_model(hierarchical).whiten(SHAPE)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_model_is_recognised():
    model = MatrixFactorization()
    assert as_model(model) is model
    assert as_model(hierarchical) == ProgramModel(hierarchical)
    with pytest.raises(InputError, match="model is 'linear'; give a bayesgc model or a Pyro program"):
        as_model("linear")
