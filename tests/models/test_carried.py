"""Sites without a transport: their values stand in the column, and moves of it leave the prior as it is."""

from __future__ import annotations

from typing import ClassVar

import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

from bayesgc.models import MatrixFactorization, WhitenedProgram, as_model
from bayesgc.models.layout import Layout

SHAPE = (2, 3)
CPU = torch.device("cpu")


class Undetermined(dist.TorchDistribution):
    """Uniform on (−1, 1), without even a density."""

    arg_constraints: ClassVar = {}
    support = dist.constraints.real

    def __init__(self, shape=()):
        super().__init__(torch.Size(shape), torch.Size(), validate_args=False)

    def expand(self, shape, _instance=None):
        return Undetermined(shape)

    def sample(self, shape=()):
        return 2 * torch.rand(*shape, *self.batch_shape) - 1


def independent():
    """Counts, and a normal."""
    counts = pyro.sample("counts", dist.Poisson(2.0).expand([2, 3]).to_event(2))
    return counts + pyro.sample("shift", dist.Normal(0.0, 1.0))


def hierarchical():
    """A transported site above two carried ones, of which the second follows the first; and a carried one by itself."""
    rate = pyro.sample("rate", dist.Gamma(3.0, 1.0))
    counts = pyro.sample("counts", dist.Poisson(rate).expand([2, 3]).to_event(2))
    with pyro.plate("rows", 2):
        more = pyro.sample("more", dist.Poisson(0.5 + 0.2 * counts.sum()))
    alone = pyro.sample("alone", dist.Poisson(1.0))
    # Transported, but below a carried one.
    scale = pyro.sample("scale", dist.LogNormal(0.1 * counts[0, 0], 0.3))
    return (counts + alone) * scale + more[:, None]


def without_density():
    """Where Pyro cannot find what depends on what."""
    first = pyro.sample("first", Undetermined().expand([2, 3]).to_event(2))
    width = pyro.sample("width", dist.HalfNormal(1.0))
    return first * width


PROGRAMS = [independent, hierarchical, without_density]
FUNCTIONALS = {
    "corner": lambda v: v[0],
    "sum": lambda v: v.sum(0),
    "norm": lambda v: v.norm(dim=0),
    "difference": lambda v: v[1] - v[4],
}


def whitened(program):
    return as_model(program).whiten(SHAPE)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(program, count=2000, seed=0):
    return whitened(program).draw(source(seed), count, device=CPU, dtype=torch.float32)


def test_what_depends_on_what():
    sites = whitened(hierarchical).layout.sites
    assert {name: (site.carried, site.depends, site.follows) for name, site in sites.items()} == {
        "rate": (False, False, False),
        "counts": (True, True, False),
        "more": (True, True, True),
        "alone": (True, False, False),
        "scale": (False, False, False),
    }
    layout = whitened(hierarchical).layout
    assert (layout.normals, layout.size) == (2, 2 + 6 + 2 + 1)
    assert not whitened(independent).layout.sites["counts"].depends
    assert not whitened(without_density).layout.sites["first"].depends


def own_draws(program, count=1000):
    with torch.random.fork_rng():
        pyro.set_rng_seed(5)
        return torch.stack([program().flatten() for _ in range(count)]).T


def smallest_p(one, two):
    pairs = [(f(one).double(), f(two).double()) for f in FUNCTIONALS.values()]
    return min(stats.ks_2samp(a.numpy(), b.numpy()).pvalue for a, b in pairs)


@pytest.mark.parametrize("program", PROGRAMS)
def test_draws_have_the_law_of_the_program(program):
    # Twelve comparisons of a fixed seed: under equal laws some p < 1e-4 has a chance of 1e-3.
    assert smallest_p(whitened(program).vectors(drawn(program)), own_draws(program)) > 1e-4


def moved(program, angle, steps=6, seed=1):
    model, columns, generator = whitened(program), drawn(program, seed=seed), source(seed + 1)
    for _ in range(steps):
        columns = model.propose(columns, angle, generator)
    return model, columns


@pytest.mark.parametrize("angle", [0.1, 1.0])
@pytest.mark.parametrize("program", PROGRAMS)
def test_moves_leave_the_prior_as_it_is(program, angle):
    model, columns = moved(program, angle)
    assert smallest_p(model.vectors(columns), model.vectors(drawn(program, seed=9))) > 1e-4
    # And they are reversible: a pair of neighbours has the same law in either order.
    after = model.propose(columns, angle, source(3))
    one, two = model.vectors(columns), model.vectors(after)
    for f in FUNCTIONALS.values():
        assert stats.ks_2samp((f(one) * f(two) ** 2).numpy(), (f(two) * f(one) ** 2).numpy()).pvalue > 1e-4


def test_keeping_what_depends_on_what_moved_is_caught(monkeypatch):
    monkeypatch.setattr(WhitenedProgram, "_redrawn", lambda self, columns, redraw, generator: columns)
    model, columns = moved(hierarchical, 0.7)
    monkeypatch.undo()
    assert smallest_p(model.vectors(columns), model.vectors(drawn(hierarchical, seed=9))) < 1e-6


def test_a_small_angle_redraws_few_entries_but_some():
    model, columns = whitened(independent), drawn(independent)
    after = model.propose(columns, 1e-3, source(4))
    changed = (after[1:] != columns[1:]).double().sum(0)
    # One of six on average, of which three in four change; 2000 columns of variance below 5/6.
    fresh = 1 - sum(float(dist.Poisson(2.0).log_prob(torch.tensor(k)).exp()) ** 2 for k in range(30))
    assert abs(float(changed.mean()) - fresh) < 5 * (5 / 6 / 2000) ** 0.5


def test_entries_of_one_event_are_redrawn_together():
    def pairs():
        return pyro.sample("pairs", dist.Multinomial(5, torch.tensor([0.2, 0.3, 0.5])).expand([2]).to_event(1))

    model, columns = whitened(pairs), drawn(pairs)
    after = model.propose(columns, 0.3, source(4))
    assert (model.vectors(after).unflatten(0, SHAPE).sum(1) == 5).all()
    rows = (after != columns).unflatten(0, SHAPE).any(1)
    assert (rows.any(0) & ~rows.all(0)).any()


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_same_stream_gives_the_same_bits_and_the_global_one_is_left_alone(program):
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first, again = moved(program, 0.5)[1], moved(program, 0.5)[1]
    assert torch.equal(first, again)
    assert not torch.equal(first, moved(program, 0.5, seed=2)[1])
    assert torch.equal(torch.random.get_rng_state(), before)


def test_weights_come_back_in_their_own_types_and_shapes():
    weights = whitened(hierarchical).weights(drawn(hierarchical, 5))
    shapes = {"rate": (5,), "counts": (5, 2, 3), "more": (5, 2), "alone": (5,), "scale": (5,)}
    assert {name: tuple(value.shape) for name, value in weights.items()} == shapes


def test_a_factorisation_with_a_prior_that_has_no_transport():
    def prior(rows, cols):
        return Undetermined().expand([rows, cols])

    ours = MatrixFactorization(2, 2, "tanh", prior).whiten(SHAPE)
    twin = MatrixFactorization(2, 2, "tanh", "uniform", "unit").whiten(SHAPE)
    assert isinstance(ours, WhitenedProgram)
    assert isinstance(ours.layout, Layout)
    assert ours.batched
    for angle in (0.3, 1.0):
        columns = ours.draw(source(), 2000, device=CPU, dtype=torch.float32)
        for _ in range(4):
            columns = ours.propose(columns, angle, source(2))
        expected = twin.vectors(twin.draw(source(3), 2000, device=CPU, dtype=torch.float32))
        assert smallest_p(ours.vectors(columns), expected) > 1e-4
