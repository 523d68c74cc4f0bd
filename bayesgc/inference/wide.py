"""The posterior of an infinitely wide net: given the fit of vec W ~ N(0, I ⊗ K) with one K.

Where the widths go to infinity K does not vary, and of the mixture that collapsed inference averages over one member is
left. At ε = 0 everything is in closed form; at ε > 0 the residual in the ball is what there is to average over.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.inference.collapsed import residual_in_ball
from bayesgc.inference.curve import log_ball
from bayesgc.inference.estimates import log_mean, weighted_mean
from bayesgc.inference.gaussian import gaussian_system
from bayesgc.inference.records import Estimate
from bayesgc.inference.streams import Stream, generator
from bayesgc.task import Task

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


def wide_limit(task: Task, gram: Float[Tensor, "col col"], eps: float) -> WideLimit | None:
    """Condition W, whose rows are independent N(0, ``gram``), on the fit; None where it has no density.

    At ε > 0 the average over residuals is one over 65 536 draws of a seed of its own, with errors from 16 batches.
    """
    system = gaussian_system(task, gram[None])
    if bool(system.singular):
        return None
    y = torch.as_tensor(task.targets, dtype=gram.dtype)
    density, loss = [], []
    for batch in range(_BATCHES):
        targets = y[None]
        if eps > 0:
            source = generator(0, Stream.IMPORTANCE, batch, gram.device)
            targets = y + residual_in_ball(torch.randn(y.numel() + 2, _DRAWS, generator=source, dtype=gram.dtype), eps)
        weight = system.log_density(targets)
        density.append(torch.logsumexp(weight, 0) - torch.tensor(float(len(weight))).log())
        bias = task.gen_loss(system.mean(targets).flatten(1).T)
        if bias is not None:
            loss.append((weight.softmax(0) * bias).sum() + system.held_out_variance()[0] / task.held_out.count)
    log_fit = torch.stack(density).numpy() + log_ball(y.numel(), eps)
    return WideLimit(
        log_mean(log_fit),
        weighted_mean(torch.stack(loss).numpy(), log_fit) if loss else None,
        _prior_gen_loss(task, gram),
    )


def _prior_gen_loss(task: Task, gram: Float[Tensor, "col col"]) -> float | None:
    if task.zero_gen_loss is None:
        return None
    held_out = torch.as_tensor(task.held_out.dense(), dtype=gram.dtype).unflatten(1, task.unfolding)
    variance = torch.einsum("mrc,cd,mrd->", held_out, gram, held_out)
    return float(variance) / task.held_out.count + task.zero_gen_loss
