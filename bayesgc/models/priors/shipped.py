"""The priors that come with the package.

Where it says ``scale`` it is that of the model: with fan-out one over the root of the rows. The standard member of each
family is multiplied by it, whatever its variance.
"""

from __future__ import annotations

import pyro.distributions as dist

from bayesgc.models.priors.laws import Haar, LowRankGaussian, ScaleMixture
from bayesgc.models.priors.prior import register_prior
from bayesgc.validate import positive_integer, real_in


@register_prior("gaussian", scaled=True)
def gaussian(rows: int, cols: int, *, scale: float, mean: float = 0.0) -> dist.Distribution:
    """Independent entries scale·(mean + N(0, 1))."""
    return dist.Normal(scale * mean, scale).expand([rows, cols]).to_event(2)


@register_prior("uniform", scaled=True)
def uniform(rows: int, cols: int, *, scale: float, mean: float = 0.0) -> dist.Distribution:
    """Independent entries scale·(mean + U(−1, 1)); not rescaled to unit variance, as in the paper."""
    return dist.Uniform(scale * (mean - 1), scale * (mean + 1)).expand([rows, cols]).to_event(2)


@register_prior("laplace", scaled=True)
def laplace(rows: int, cols: int, *, scale: float, mean: float = 0.0) -> dist.Distribution:
    """Independent entries scale·(mean + Laplace(0, 1)), of variance 2·scale²; its mode is sparse.

    Source: Tibshirani 1996, whose lasso is that mode.
    """
    return dist.Laplace(scale * mean, scale).expand([rows, cols]).to_event(2)


@register_prior("student-t", scaled=True)
def student_t(rows: int, cols: int, *, scale: float, df: float = 3.0, mean: float = 0.0) -> dist.Distribution:
    """Independent entries scale·(mean + t) with df degrees of freedom: heavy tails.

    Source: Neal 1996, chapter 2, whose networks have such weights in the limit of heavy tails; Fortuin et al. 2022 find
    them in trained ones.
    """
    df = real_in("prior option df", df, 0, open_low=True)
    return dist.StudentT(df, scale * mean, scale).expand([rows, cols]).to_event(2)


@register_prior("horseshoe", scaled=True)
def horseshoe(rows: int, cols: int, *, scale: float) -> dist.Distribution:
    """Independent entries scale·τ·N(0, 1), τ half-Cauchy for each: most near zero, some very large.

    Source: Carvalho, Polson and Scott 2010.
    """
    return ScaleMixture(dist.HalfCauchy(1.0), scale=scale).expand([rows, cols]).to_event(2)


@register_prior("spike-slab", scaled=True)
def spike_slab(rows: int, cols: int, *, scale: float, share: float = 0.5) -> dist.Distribution:
    """Independent entries that are scale·N(0, 1) with probability share, else exactly zero.

    Source: Mitchell and Beauchamp 1988.
    """
    share = real_in("prior option share", share, 0, 1, open_low=True)
    return ScaleMixture(dist.Bernoulli(share), scale=scale).expand([rows, cols]).to_event(2)


@register_prior("rademacher", scaled=True)
def rademacher(rows: int, cols: int, *, scale: float) -> dist.Distribution:
    """Independent entries ±scale, each with probability ½.

    Source: Courbariaux, Bengio and David 2015, whose networks have binary weights.
    """
    sign = dist.Bernoulli(0.5).expand([rows, cols])
    return dist.TransformedDistribution(sign, [dist.transforms.AffineTransform(-scale, 2 * scale)]).to_event(2)


@register_prior("orthogonal", scaled=True)
def orthogonal(rows: int, cols: int, *, scale: float) -> dist.Distribution:
    """A uniformly random matrix with orthonormal columns or rows, times scale·√max(rows, cols).

    Its entries have variance scale². Source: Saxe, McClelland and Ganguli 2014; drawn as in Mezzadri 2007.
    """
    return Haar(rows, cols, scale * max(rows, cols) ** 0.5)


@register_prior("low-rank", scaled=True)
def low_rank(rows: int, cols: int, *, scale: float, rank: int = 2) -> dist.Distribution:
    """A layer of at most this rank: scale·A B/√rank with standard Gaussian A and B.

    Its entries have variance scale². Source: Salakhutdinov and Mnih 2008.
    """
    return LowRankGaussian(rows, cols, positive_integer("prior option rank", rank), scale)
