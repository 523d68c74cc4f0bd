"""What a caller asks of any method, apart from the method's own hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass, replace

LOG_VOLUME_ERROR = 0.15
"""The standard error of the log volume at which a run counts as converged."""


@dataclass(frozen=True)
class Request:
    """How much is wanted, how precisely, from which seed.

    ``precision`` is the relative standard error of E[L_gen] to reach. It, ``chains`` and ``draws`` (kept in each
    chain) are None for the method's own number. ``weights`` keeps the weights beside the end-to-end matrices.
    """

    seed: int = 0
    precision: float | None = None
    chains: int | None = None
    draws: int | None = None
    weights: bool = False

    def filled(self, defaults: Request) -> Request:
        """The same with a method's defaults where nothing was asked for."""
        names = [name for name in ("precision", "chains", "draws") if getattr(self, name) is None]
        return replace(self, **{name: getattr(defaults, name) for name in names})

    @property
    def relative_error(self) -> float:
        """The precision of a filled request."""
        return 0.05 if self.precision is None else self.precision
