"""What a caller asks of any method, apart from the method's own hyperparameters."""

from __future__ import annotations

from dataclasses import dataclass, replace

LOG_VOLUME_ERROR = 0.15
"""The standard error of the log volume at which a run counts as converged."""
_KEPT = 20 * 2**20
"""Bytes of the draws of one law that are kept unless more are asked for: with prior and posterior, a file of 50 MB."""


@dataclass(frozen=True)
class Request:
    """How much is wanted, how precisely, from which seed.

    ``precision`` is the relative standard error of E[L_gen] to reach. It, ``chains`` and ``draws`` (kept in each
    chain) are None for the method's own number. ``weights`` keeps the weights beside the end-to-end matrices.
    ``most_kept`` bounds the draws that all chains together keep; None for no bound.
    """

    seed: int = 0
    precision: float | None = None
    chains: int | None = None
    draws: int | None = None
    weights: bool = False
    most_kept: int | None = None

    def filled(self, defaults: Request) -> Request:
        """The same with a method's defaults where nothing was asked for."""
        names = [name for name in ("precision", "chains", "draws") if getattr(self, name) is None]
        return replace(self, **{name: getattr(defaults, name) for name in names})

    def bounded(self, numbers: int) -> Request:
        """The same, with what is kept bounded unless ``draws`` says how much; a draw holds so many numbers."""
        return self if self.draws is not None else replace(self, most_kept=max(1, _KEPT // (8 * numbers)))

    def kept(self, chains: int, draws: int = 1) -> int:
        """Draws that each of so many chains keeps: as asked for, else ``draws``, within the bound."""
        wanted = self.draws or draws
        return wanted if self.most_kept is None else max(1, min(wanted, self.most_kept // chains))

    @property
    def relative_error(self) -> float:
        """The precision of a filled request."""
        return 0.05 if self.precision is None else self.precision
