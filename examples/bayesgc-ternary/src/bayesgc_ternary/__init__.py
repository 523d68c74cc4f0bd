"""Ternary weights: −1, 0 or 1 (Li, Zhang and Liu 2016)."""

from __future__ import annotations

import pyro.distributions as dist
import torch

from bayesgc import register_prior


@register_prior("ternary", scaled=True)
def ternary(rows: int, cols: int, *, scale: float, zeros: float = 0.5) -> dist.Distribution:
    """Independent entries scale·{−1, 0, 1}, zero with probability zeros and either sign alike."""
    sign = torch.tensor([(1 - zeros) / 2, zeros, (1 - zeros) / 2])
    index = dist.Categorical(sign).expand([rows, cols])
    return dist.TransformedDistribution(index, [dist.transforms.AffineTransform(-scale, scale)]).to_event(2)
