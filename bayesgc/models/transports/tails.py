"""Tails of the standard normal, with all their digits and inside ``torch.func.vmap``.

``torch.special.ndtr`` has lost the far lower tail in float32, and ``log_ndtr`` runs draw by draw inside ``vmap``.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor


def tail(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """P(N > z), to the last digits for large z."""
    return torch.special.erfc(z * math.sqrt(0.5)) / 2


def log_tail(z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """log P(N > z)."""
    far = z.clamp(min=0)
    beyond = (torch.special.erfcx(far * math.sqrt(0.5)) / 2).log() - far * far / 2
    return torch.where(z > 0, beyond, torch.log1p(-tail(-z.clamp(max=0))))
