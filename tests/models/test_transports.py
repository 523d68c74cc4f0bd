"""Transports push standard normals to the law they stand for."""

from __future__ import annotations

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from scipy import stats

from bayesgc.models import register_transport
from bayesgc.models.transports import TRANSPORTS, transport_of
from bayesgc.validate import InputError


def push(law, z):
    return transport_of(law, "x").push(law, z)


def normals(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


FAMILIES = {
    "normal": (dist.Normal(1.0, 2.0), stats.norm(1, 2)),
    "uniform": (dist.Uniform(-3.0, 1.0), stats.uniform(-3, 4)),
    "by inverse cdf: laplace": (dist.Laplace(0.5, 2.0), stats.laplace(0.5, 2)),
    "by inverse cdf: cauchy": (dist.Cauchy(0.0, 1.0), stats.cauchy()),
    "by inverse cdf: exponential": (dist.Exponential(2.0), stats.expon(scale=0.5)),
    "transformed: log-normal": (dist.LogNormal(0.0, 0.7), stats.lognorm(0.7)),
    "transformed twice": (
        dist.TransformedDistribution(
            dist.Uniform(0.0, 1.0), [dist.transforms.AffineTransform(1.0, 3.0), dist.transforms.ExpTransform()]
        ),
        stats.loguniform(np.e, np.e**4),
    ),
    "independent": (dist.Laplace(torch.zeros(4), torch.ones(4)).to_event(1), stats.laplace()),
}


@pytest.mark.parametrize(("law", "exact"), FAMILIES.values(), ids=FAMILIES.keys())
def test_the_law_is_that_of_the_distribution(law, exact):
    draws = push(law, normals(5000, *law.event_shape)).numpy().ravel()
    # Fixed seed; under the right law p < 1e-3 has a chance of 1e-3.
    assert stats.kstest(draws, exact.cdf).pvalue > 1e-3
    # Negative control: the test would see a tenth of a standard deviation.
    quartiles = exact.ppf([0.25, 0.75])
    assert stats.kstest(draws + 0.1 * np.ptp(quartiles), exact.cdf).pvalue < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_tails_are_not_cut_off_and_are_symmetric(dtype):
    z = torch.tensor([-8.0, -6.0, -5.5, 5.5, 6.0, 8.0], dtype=dtype)
    laplace = push(dist.Laplace(0.0, 1.0), z)
    expected = torch.from_numpy(np.sign(z.numpy()) * -np.log(2 * stats.norm.sf(np.abs(z.double().numpy())))).to(dtype)
    # Φ(8) in double keeps one digit of its distance to 1.
    torch.testing.assert_close(laplace, expected, rtol=0.05, atol=0)
    uniform = push(dist.Uniform(-1.0, 1.0), z)
    torch.testing.assert_close(uniform, -uniform.flip(0), rtol=0, atol=0)
    assert uniform.abs().max() <= 1


def test_multivariate_normal_has_its_covariance():
    cov = torch.tensor([[2.0, 0.6], [0.6, 0.5]], dtype=torch.float64)
    loc = torch.tensor([1.0, -1.0], dtype=torch.float64)
    draws = push(dist.MultivariateNormal(loc, cov), normals(40_000, 2))
    # The error of an entry of the sample covariance is below its variances' √(2/40 000) = 0.7 %: five of them.
    torch.testing.assert_close(torch.cov(draws.T), cov, rtol=0, atol=5 * 0.0071 * 2)
    torch.testing.assert_close(draws.mean(0), loc, rtol=0, atol=5 * 2**0.5 / 200)


@pytest.mark.parametrize("law", [dist.Gamma(2.0, 1.0), dist.StudentT(3.0), dist.Bernoulli(0.5), dist.Beta(1.0, 2.0)])
def test_without_a_transport_the_site_is_named(law):
    with pytest.raises(InputError, match=f"site 'spread' has the distribution {type(law).__name__}, which has no"):
        transport_of(law, "spread")


def test_inside_a_wrapper_there_must_be_a_transport_too():
    z = normals(3)
    with pytest.raises(InputError, match="StudentT, which has no transport"):
        push(dist.StudentT(3.0).expand([3]).to_event(1), z)


def test_a_registered_transport_serves_subclasses(monkeypatch):
    monkeypatch.setattr("bayesgc.models.transports.TRANSPORTS", dict(TRANSPORTS))

    class Exponential(dist.Gamma):
        """Gamma at shape one, which is χ² with two degrees of freedom at rate ½."""

    @register_transport(dist.Gamma)
    def at_shape_one(fn, z):
        return -torch.special.log_ndtr(-z) / fn.rate

    draws = push(Exponential(1.0, 0.5), normals(5000))
    assert stats.kstest(draws.numpy(), stats.chi2(2).cdf).pvalue > 1e-3
