"""The suite for plug-in authors: shipped priors pass it, and each check catches what it is there for."""

from __future__ import annotations

import math
import os

import pyro
import pyro.distributions as dist
import pytest
import torch

from bayesgc.models import PRIORS, MatrixFactorization, WhitenedFactors
from bayesgc.models.transports.registry import TRANSPORTS, register_transport
from bayesgc.testing import (
    CHECKS,
    SHAPE,
    CheckFailed,
    calibration_ranks,
    check_calibration,
    check_model,
    check_prior,
    check_shapes,
)

pytestmark = pytest.mark.usefixtures("unchecked")
SHIPPED = sorted(PRIORS)
CALIBRATED = 100
"""Truths of the long part, `pytest -m slow -n 0 tests/test_testing.py`: some five minutes on two cores."""


def model(prior):
    return MatrixFactorization(2, 3, prior=prior, normalize=False)


def normalised(prior):
    """Where no truth is far out in a heavy tail."""
    return MatrixFactorization(2, 3, prior=prior, normalize=True)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_prior_passes(name):
    check_prior(name, truths=0)


@pytest.mark.slow
def test_calibration_passes():
    check_calibration(normalised("student-t:df=4"), SHAPE, truths=40)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_prior_is_calibrated(name):
    number = int(os.environ.get("BAYESGC_CALIBRATION_REPLICATIONS", CALIBRATED))
    check_calibration(normalised(name), SHAPE, truths=number)


def hierarchical():
    spread = pyro.sample("spread", dist.HalfCauchy(1.0))
    count = pyro.sample("count", dist.Poisson(1.0))
    return count + spread * pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 4]).to_event(2))


def test_a_program_passes():
    check_model(hierarchical, SHAPE, truths=0)


def branching():
    """A count whose rate Python picks by a drawn value, and makes a plain number of it."""
    level = pyro.sample("level", dist.Normal(0.0, 1.0))
    return pyro.sample("count", dist.Poisson(50 * math.exp(float(level)) if level > 0 else 1.0)).expand(1, 2)


def test_a_program_that_hides_what_depends_on_what_passes():
    CHECKS["whitening"](branching, (1, 2))


@pytest.mark.slow
def test_a_program_is_calibrated():
    check_calibration(hierarchical, SHAPE, truths=CALIBRATED)


# --- what each check catches ------------------------------------------------------------------------------------------


class Stretched(dist.Normal):
    """A normal whose transport, below, has a standard deviation that is too large."""

    def expand(self, batch_shape, _instance=None):
        return Stretched(self.loc.expand(batch_shape), self.scale.expand(batch_shape))


@pytest.fixture
def stretched(monkeypatch):
    monkeypatch.setattr("bayesgc.models.transports.registry.TRANSPORTS", dict(TRANSPORTS))
    register_transport(Stretched)(lambda fn, z: fn.loc + 3 * fn.scale * z)
    return lambda rows, cols: Stretched(0.0, 1.0).expand([rows, cols])


def test_a_wrong_transport_is_caught(stretched):
    with pytest.raises(CheckFailed, match="whitening: .* of draws from normals has another law .* transport right"):
        check_prior(stretched)
    with pytest.raises(CheckFailed, match="calibration: ranks of the truth's .* are not uniform"):
        check_calibration(model(stretched), SHAPE, truths=10)


def test_moves_that_change_the_prior_are_caught(monkeypatch):
    monkeypatch.setattr("bayesgc.inference.criterion.crank_nicolson", lambda z, *_: 1.1 * z)
    with pytest.raises(CheckFailed, match="of moved draws from normals has another law"):
        check_prior("gaussian")


def test_two_laws_of_one_prior_are_caught():
    calls = []

    def fickle(rows, cols):
        calls.append(1)
        return dist.Normal(float(len(calls)), 1.0).expand([rows, cols])

    with pytest.raises(CheckFailed, match="asked twice for a 1×1 matrix, the prior gave two laws"):
        check_shapes(fickle)


def test_draws_that_are_not_finite_are_caught():
    def reciprocal():
        return 1 / pyro.sample("w", dist.Poisson(6.0).expand([3, 4]).to_event(2))

    with pytest.raises(CheckFailed, match=r"finite: \d+ of 1000 own draws have entries that are not finite"):
        CHECKS["finite"](reciprocal, SHAPE)


def test_randomness_of_one_s_own_is_caught():
    def noisy():
        return pyro.sample("w", dist.Normal(0.0, 1.0).expand([3, 4]).to_event(2)) + 1e-6 * torch.randn(())

    with pytest.raises(CheckFailed, match="determinism: the same columns gave other draws the second time"):
        CHECKS["determinism"](noisy, SHAPE)


def test_draws_that_depend_on_their_neighbours_are_caught(monkeypatch):
    plain = WhitenedFactors.vectors
    monkeypatch.setattr(WhitenedFactors, "vectors", lambda self, z: plain(self, z) + 0.01 * z.mean())
    with pytest.raises(CheckFailed, match="batches: six draws at once differ from the same six one by one"):
        CHECKS["batches"](model("gaussian"), SHAPE)


def test_calibration_is_the_same_whichever_truths_come_before():
    first, rest = (calibration_ranks(model("gaussian"), SHAPE, 3, first=start) for start in (0, 2))
    assert first["norm"][2] == rest["norm"][0]
