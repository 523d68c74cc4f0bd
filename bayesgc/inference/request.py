"""What a caller asks of any method, apart from the method's own hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass

LOG_VOLUME_ERROR = 0.15
"""The standard error of the log volume at which a run counts as converged."""


@dataclass(frozen=True)
class Request:
    """How much is wanted, how precisely, from which seed.

    ``precision`` is the relative standard error of E[L_gen] to reach. ``chains`` and ``draws`` (kept in each chain)
    are None for the method's own number. ``weights`` keeps the weights beside the end-to-end matrices.
    """

    seed: int = 0
    precision: float = 0.05
    chains: int | None = None
    draws: int | None = None
    weights: bool = False
