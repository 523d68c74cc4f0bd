"""Gradient descent at a threshold of which its run knew nothing: cells that differ in ε share their descents."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

_FLOOR = 1e-300


def at_threshold(
    threshold: Float[np.ndarray, " level"],
    train: Float[np.ndarray, "restart level"],
    gen: Float[np.ndarray, "restart level"],
    eps: float,
) -> tuple[Float[np.ndarray, " restart"], Float[np.ndarray, " restart"]]:
    """Both losses of each restart where its training loss first was at or below ε, from its curve; NaN where never.

    The curve holds the first state at or below each of its falling thresholds. One that is at or below ε though its
    threshold is not is the state in question. Otherwise that lies between two states of the curve, whose thresholds
    differ by 15 %, and the losses at ε are interpolated between theirs, on logarithmic scales.
    """
    below = train <= eps
    never, last = ~below.any(1), below.argmax(1)
    before, places = np.maximum(last - 1, 0), np.arange(len(train))
    losses = [np.log(np.maximum(each.astype(np.float64), _FLOOR)) for each in (train, gen)]
    (high, low), (start, end) = ((each[places, before], each[places, last]) for each in losses)
    between = (threshold[last] < eps) & (high > low)
    share = np.divide(high - np.log(eps), high - low, out=np.ones_like(high), where=between)
    found = (np.exp(first + share * (second - first)) for first, second in ((high, low), (start, end)))
    at_train, at_gen = (np.where(never, np.nan, each) for each in found)
    return at_train, at_gen
