"""The posterior of an infinitely wide net: given the fit of vec W ~ N(0, I ⊗ K) with one K.

Where the widths go to infinity K does not vary, and of the mixture that collapsed inference averages over one member is
left. At ε = 0 everything is in closed form; at ε > 0 the measured values f ~ N(0, S) of a fit are what there is to
average over. They are drawn from their law tilted by exp(−λ‖f − y‖²), a Gaussian again, and weighted by what undoes the
tilt (Siegmund 1976). λ puts the edge of the ball amid the draws, whether the ball is a speck or holds all of the prior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.inference.collapsed.gaussian import GaussianSystem, gaussian_system
from bayesgc.inference.estimates import log_mean, weighted_mean
from bayesgc.inference.records import Estimate
from bayesgc.inference.streams import Stream, generator
from bayesgc.task import ArrayTask

_BATCHES, _DRAWS = 16, 4096


@dataclass(frozen=True)
class WideLimit:
    """What conditioning gives in the limit.

    ``log_fit`` is log P(L_train < ε), at ε = 0 the log evidence; ``gen_loss`` is E[L_gen | fit] and
    ``prior_gen_loss`` E[L_gen] without the fit, None where L_gen is not defined.
    """

    log_fit: Estimate
    gen_loss: Estimate | None
    prior_gen_loss: float | None


def wide_limit(task: ArrayTask, gram: Float[Tensor, "col col"], eps: float) -> WideLimit | None:
    """Condition W, whose rows are independent N(0, ``gram``), on the fit; None where it has no density.

    At ε > 0 the average over what fits is one over 65 536 draws of a seed of its own, with errors from 16 batches.
    """
    system = gaussian_system(task, gram[None])
    if bool(system.singular):
        return None
    y = torch.as_tensor(task.targets, dtype=gram.dtype)
    prior = _prior_gen_loss(task, gram)
    if eps == 0:
        exact = _expected_gen_loss(task, system, y[None])
        return WideLimit(_known(system.log_density(y[None])), None if exact is None else _known(exact), prior)
    fits = _Fits.of(_covariance(task, gram), y, eps)
    log_fit, loss = [], []
    for batch in range(_BATCHES):
        values, log_weight = fits.draw(generator(0, Stream.IMPORTANCE, batch, gram.device))
        log_fit.append(log_weight.logsumexp(0) - math.log(_DRAWS))
        expected = _expected_gen_loss(task, system, values)
        if expected is not None:
            loss.append((log_weight.softmax(0) * expected).sum())
    volumes = torch.stack(log_fit).numpy()
    return WideLimit(log_mean(volumes), weighted_mean(torch.stack(loss).numpy(), volumes) if loss else None, prior)


@dataclass(frozen=True)
class _Fits:
    """The law of the measured values, tilted towards y: independent normals along the eigenvectors of S.

    ``y`` is in their coordinates, and ``radius`` squared is nε.
    """

    vectors: Float[Tensor, "n axis"]
    variances: Float[Tensor, " axis"]
    y: Float[Tensor, " axis"]
    radius: float
    tilt: float

    @classmethod
    def of(cls, covariance: Float[Tensor, "n n"], y: Float[Tensor, " n"], eps: float) -> _Fits:
        """With the tilt under which ‖f − y‖² is nε on average; none where it is less than that anyway."""
        variances, vectors = torch.linalg.eigh(covariance)
        variances = variances.clamp(min=0)  # rounding
        along, square = y @ vectors, y.numel() * eps

        def excess(tilt: float) -> float:
            shrunk = 1 + 2 * tilt * variances
            return float((variances / shrunk + (along / shrunk).square()).sum()) - square

        tilt = 0.0
        if excess(tilt) > 0:
            most = 1 / eps
            while excess(most) > 0:
                most *= 2
            from scipy.optimize import brentq  # which takes a while to load

            tilt = float(brentq(excess, 0.0, most))
        return cls(vectors, variances, along, math.sqrt(square), tilt)

    def draw(self, source: torch.Generator) -> tuple[Float[Tensor, "draw n"], Float[Tensor, " draw"]]:
        """Measured values and the log of their weights, −∞ outside of the ball; the mean weight is P(L_train < ε)."""
        shrunk = 1 + 2 * self.tilt * self.variances
        noise = torch.randn(_DRAWS, len(self.y), generator=source, dtype=self.y.dtype)
        # What is missed, f − y, and not f itself, whose digits would cancel at small ε.
        missed = noise * (self.variances / shrunk).sqrt() - self.y / shrunk
        square = missed.square().sum(1)
        total = -0.5 * float(shrunk.log().sum()) - self.tilt * float((self.y.square() / shrunk).sum())
        log_weight = torch.where(square < self.radius**2, self.tilt * square + total, -torch.inf)
        return (self.y + missed) @ self.vectors.T, log_weight


def _covariance(task: ArrayTask, gram: Float[Tensor, "col col"]) -> Float[Tensor, "n n"]:
    """S = Ā (I ⊗ K) Āᵀ."""
    seen = torch.as_tensor(task.measurements.dense(), dtype=gram.dtype).unflatten(1, task.unfolding)
    return (seen @ gram).flatten(1) @ seen.flatten(1).T


def _expected_gen_loss(
    task: ArrayTask, system: GaussianSystem, values: Float[Tensor, "draw n"]
) -> Float[Tensor, " draw"] | None:
    """E[L_gen | f] of each draw of the measured values."""
    bias = task.gen_loss(system.mean(values).flatten(1).T)
    return None if bias is None else bias + system.held_out_variance() / task.held_out.count


def _known(value: Float[Tensor, " one"]) -> Estimate:
    exact = float(value)
    return Estimate(exact, 0.0, (exact, exact))


def _prior_gen_loss(task: ArrayTask, gram: Float[Tensor, "col col"]) -> float | None:
    if task.zero_gen_loss is None:
        return None
    held_out = torch.as_tensor(task.held_out.dense(), dtype=gram.dtype).unflatten(1, task.unfolding)
    variance = torch.einsum("mrc,cd,mrd->", held_out, gram, held_out)
    return float(variance) / task.held_out.count + task.zero_gen_loss
