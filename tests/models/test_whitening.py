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


def raises():
    raise KeyError("no such weight")


def unfinite_sometimes():
    scale = pyro.sample("scale", dist.Normal(1.0, 1.0))
    return pyro.sample("w", dist.Normal(0.0, -scale.abs()).expand([3, 4]).to_event(2))


def sometimes_there():
    value = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 4]).to_event(2))
    if value[0, 0] > 0:
        value = value + pyro.sample("extra", dist.Normal(0.0, 1.0))
    return value


def summed():
    return pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 4]).to_event(2)).reshape(-1, 3, 4).sum(0)


def mixing():
    value = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 4]).to_event(2))
    return value - (value.mean(0, keepdim=True) if value.ndim == 3 else 0.0)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (returns(torch.zeros(4, 3)), r"model 'program' returned the shape \(4, 3\); it must return .* \(3, 4\)"),
        (returns(None), "model 'program' returned NoneType; it must return one tensor"),
        (lambda: torch.zeros(3, 4), "has no latent sample site"),
        (returns(torch.zeros(3, 4).long()), "returned a tensor of torch.int64; it must be of a floating-point type"),
        (returns(torch.full((3, 4), torch.nan)), "returned entries that are not finite"),
        (raises, "model 'raises' failed with KeyError: 'no such weight'"),
        (unfinite_sometimes, "model 'unfinite_sometimes' failed with ValueError"),
        (sometimes_there, "site 'extra' is there in some runs of the program and not in others"),
        (
            ProgramModel(summed, batched=True),
            r"model 'summed' is batched=True, but 3 draws .* gave \(3, 4\), not \(3, 3, 4",
        ),
        (ProgramModel(mixing, batched=True), "model 'mixing' gives other draws in a batch than one by one"),
    ],
)
def test_a_program_that_breaks_the_contract(program, message):
    with pytest.raises(InputError, match=message):
        as_model(program).whiten(SHAPE)


def branching():
    value = pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 4]).to_event(2))
    return 2 * value if value[0, 0] > 0 else value


def test_a_program_that_branches_runs_one_draw_after_the_other():
    whitened = as_model(branching).whiten(SHAPE)
    assert whitened.one_by_one
    z = normals(whitened, 6)
    expected = torch.where(z[:1] > 0, 2 * z, z)
    torch.testing.assert_close(whitened.vectors(z), expected)
    assert whitened.weights(z)["w"].shape == (6, 3, 4)
    assert not as_model(hierarchical).whiten(SHAPE).one_by_one


def test_a_random_subsample_stays_as_it_is():
    def program():
        shifts = torch.arange(10.0)
        with pyro.plate("data", 10, subsample_size=3) as index:
            noise = pyro.sample("noise", dist.Normal(0.0, 1.0))
        return (shifts[index] + noise).sum() * torch.ones(3, 4)

    whitened = as_model(program).whiten(SHAPE)
    assert whitened.size == 3
    z = normals(whitened, 5)
    shift = whitened.vectors(z)[0] - z.sum(0)
    torch.testing.assert_close(shift, shift[:1].expand(5))


def test_choices_index_and_keep_their_type():
    def program():
        which = pyro.sample("which", dist.Categorical(torch.tensor([0.5, 0.3, 0.2])))
        scale = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)[which]
        return pyro.sample("w", dist.Normal(0.0, scale).expand([3, 4]).to_event(2))

    whitened = as_model(program).whiten(SHAPE)
    z = normals(whitened, 2000)
    which = whitened.weights(z)["which"]
    assert which.dtype == torch.int64
    assert (which.bincount().double() / 2000 - torch.tensor([0.5, 0.3, 0.2])).abs().max() < 5 * 0.5 / 2000**0.5
    assert whitened.vectors(z.float()).dtype == torch.float32


def test_the_plain_run_leaves_the_global_generator_alone():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    as_model(hierarchical).whiten(SHAPE)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_model_is_recognised():
    model = MatrixFactorization()
    assert as_model(model) is model
    assert as_model(hierarchical) == ProgramModel(hierarchical)
    with pytest.raises(
        InputError, match="model is 'linear'; give a bayesgc model, a Pyro program or a torch.nn.Module"
    ):
        as_model("linear")
