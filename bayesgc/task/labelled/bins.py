"""A loss within a bin, or with every label right too: what Chiang et al. 2023 condition on.

The event is that the loss is below ε, at or above the lower end of the bin where there is one, and every label right
where that is asked for. Splitting climbs to it by a score whose events nest: first the errors with their violation,
then the losses below the bin, by how far below they are, and last the loss itself. What is outside the event whatever ε
is scores beyond all losses, so that inside the score is the loss, to the last bit.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.task.labelled.fits import Errors, Fit, Outputs, fit_named
from bayesgc.validate import InputError, real_in

BEYOND = 2.0**64
"""Above every loss. What scores a multiple of it is told apart as finely as numbers near one are."""


@dataclass(frozen=True)
class Bin(Fit):
    """A loss below ε, at or above ``low`` where that is given, and every label ``right`` where that is asked for."""

    loss: Fit
    low: float | None = None
    right: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.loss, Errors | Bin) or self.loss.measure != "train_loss":
            raise InputError(
                f"the fit {self.loss.name!r} is not a loss, so it takes no lower end and no other condition."
            )
        if self.low is not None:
            real_in("the lower end of eps", self.low, 0, open_low=True)

    @property
    def name(self) -> str:  # type: ignore[override]
        """That of the loss."""
        return self.loss.name

    @property
    def measure(self) -> str:  # type: ignore[override]
        """That of the loss."""
        return self.loss.measure

    @property
    def of_classes(self) -> bool:  # type: ignore[override]
        """Whether labels are classes, as those that are right must be."""
        return self.loss.of_classes or self.right

    @property
    def facts(self) -> dict[str, float | bool]:
        """What of it is more than the name of the loss."""
        return ({} if self.low is None else {"eps_low": self.low}) | ({"right": True} if self.right else {})

    def score(self, outputs: Outputs, labels: Tensor) -> Float[Tensor, " draw"]:
        """The loss inside; below the bin, or with errors, from `BEYOND` on."""
        found = loss = self.loss.score(outputs, labels)
        if self.low is not None:
            found = torch.where(loss < self.low, BEYOND * (2 - loss / self.low), loss)
        if self.right:
            errors = Errors().score(outputs, labels)
            found = torch.where(errors < 0, found, BEYOND * (3 + errors) + (loss - loss))
        return found

    def surrogate(self, outputs: Float[Tensor, "start example output"], labels: Tensor) -> Float[Tensor, " start"]:
        """What descent follows for the loss: it passes through the bin on its way."""
        return self.loss.surrogate(outputs, labels)

    def reported(self, score: Float[Tensor, " draw"], outputs: Outputs, labels: Tensor) -> Float[Tensor, " draw"]:
        """The loss."""
        inside = self.loss.reported(score, outputs, labels)
        return torch.where(score < BEYOND, inside, self.loss.score(outputs, labels))

    def shown(self, threshold: float) -> float:
        """Infinite where nothing is said of the loss yet."""
        return threshold if threshold < BEYOND else math.inf

    def check(self, eps: float, examples: int) -> float:
        """ε, the upper end.

        Raises:
            InputError: where the loss takes no such ε, or it is not above the lower end.
        """
        if self.low is not None and not eps > self.low:
            raise InputError(f"eps is {eps:g}; with a lower end of {self.low:g} (`eps_low`) it must be above that.")
        return self.loss.check(eps, examples)

    def nats(self, high: float, low: float, examples: int) -> float:
        """One for each error less and for the way into the bin from below; then as the loss says."""
        outside = max(high, BEYOND) / BEYOND - max(low, BEYOND) / BEYOND
        inside = self.loss.nats(min(high, 1.0), low, examples) if low < min(high, 1.0) else 0.0
        return outside + inside


def fit_of(name: str, low: float | None = None, right: bool = False) -> Fit:
    """The registered fit of that name; of a loss with a lower end, or with every label right, where that is asked for.

    Raises:
        InputError: for an unknown name, or a fit that has no such thing.
    """
    fit = fit_named(name)
    return fit if low is None and not right else Bin(fit, low, right)
