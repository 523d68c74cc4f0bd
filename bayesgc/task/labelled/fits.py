"""What a fit of labelled examples is: scores of a network's outputs, the fit being a score below ε.

A fit is registered by name, so that the command line knows it too. Shapes: outputs are (example, output, draw).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bayesgc.validate import InputError, one_of

Outputs = Float[Tensor, "example output draw"]


@dataclass(frozen=True)
class Fit(ABC):
    """A score of outputs against labels."""

    name: ClassVar[str]
    summary: ClassVar[str]
    measure: ClassVar[str]
    """The name of what is reported of it."""
    scored: ClassVar[str] = "the training loss"
    """What a threshold on the score is one on, in words."""
    default: ClassVar[float | None] = None
    """The ε that is taken where none is given."""
    of_classes: ClassVar[bool] = True
    """Whether the labels are classes; else they are numbers."""

    @abstractmethod
    def score(self, outputs: Outputs, labels: Tensor) -> Float[Tensor, " draw"]:
        """How badly each draw fits; NaN where an output is not finite."""

    def all_right(self, eps: float) -> bool:
        """Whether a fit is that every label has the largest output, and nothing else."""
        return False

    def surrogate(self, outputs: Float[Tensor, "start example output"], labels: Tensor) -> Float[Tensor, " start"]:
        """What gradient descent follows down, differentiable: the mean cross-entropy unless a fit says otherwise.

        ``labels`` are (start, example).
        """
        own = outputs.gather(2, labels[..., None])[..., 0]
        return (outputs.logsumexp(2) - own).mean(1)

    def reported(self, score: Float[Tensor, " draw"], outputs: Outputs, labels: Tensor) -> Float[Tensor, " draw"]:
        """What is reported of draws with these scores."""
        return score

    @property
    def facts(self) -> dict[str, float | bool]:
        """What a result must record of it beside its name."""
        return {}

    def shown(self, threshold: float) -> float:
        """A threshold on the score as readers know it; infinite where it says nothing of what is reported."""
        return threshold

    def check(self, eps: float, examples: int) -> float:
        """The threshold on the score for ε.

        Raises:
            InputError: for an ε that makes no event of it.
        """
        if not eps > 0:
            raise InputError(
                f"eps is {eps:g}, and no draw has a {self.measure.replace('_', ' ')} of 0; raise it above 0."
            )
        return eps

    def nats(self, high: float, low: float, examples: int) -> float:
        """Roughly the log of the factor by which the volume falls between two thresholds."""
        return 0.5 * examples * math.log(high / low)

    def readings(self, high: float, low: float, examples: int) -> list[float]:
        """The thresholds above ``low``, up to ``high``, at which the volume is to be told, falling."""
        return []


FITS: dict[str, type[Fit]] = {}


def register_fit(fit: type[Fit]) -> type[Fit]:
    """Class decorator: make a fit available by its name, in Python and on the command line."""
    FITS[fit.name] = fit
    return fit


def fit_named(name: str) -> Fit:
    """The registered fit of that name.

    Raises:
        InputError: for an unknown name.
    """
    return FITS[one_of("fit", name, FITS)]()


def margins(outputs: Outputs, labels: Int[Tensor, " example"]) -> Float[Tensor, "example draw"]:
    """The output of the label less the largest other one."""
    place = labels[:, None, None].expand(-1, 1, outputs.shape[2])
    own = outputs.gather(1, place)[:, 0]
    if outputs.shape[1] == 2:
        return own - outputs.gather(1, 1 - place)[:, 0]
    others = outputs.scatter(1, place, -math.inf).amax(1)
    return own - others


def is_wrong(outputs: Outputs, labels: Int[Tensor, " example"]) -> Tensor:
    """Whether an example's label is not strictly the largest output: (example, draw)."""
    # Not "at most 0": a margin that is no number is an error too.
    return ~(margins(outputs, labels) > 0)


@register_fit
class Errors(Fit):
    """At most ε training labels are wrong; a label is right where its output is strictly the largest.

    The score is the number of errors less one, plus how far they are violated: the sum of the margins by which labels
    are wrong over the sum of all margins, without sign. So score < ε says that at most ε labels are wrong, and on the
    way down to it draws with as many errors are told apart: a count alone would stall on ties.
    """

    name = "errors"
    summary = "at most ε of the training labels are wrong; 0 unless said"
    measure = "train_errors"
    scored = "errors − 1 + violation"
    default = 0.0

    def all_right(self, eps: float) -> bool:
        """At no error."""
        return eps == 0

    def score(self, outputs: Outputs, labels: Tensor) -> Float[Tensor, " draw"]:
        """Errors − 1 + violation, which is at least 0 and below 1."""
        margin = margins(outputs, labels)
        errors = (~(margin > 0)).sum(0).to(outputs.dtype)
        size = margin.abs().sum(0)
        violation = (-margin).clamp_min(0).sum(0) / torch.where(size > 0, size, torch.ones_like(size))
        # Of an example that is no number the margins say nothing.
        return errors - 1 + violation.clamp_max(_BELOW_ONE) + (size - size)

    def reported(self, score: Float[Tensor, " draw"], outputs: Outputs, labels: Tensor) -> Float[Tensor, " draw"]:
        """The number of errors."""
        return score.floor() + 1

    def check(self, eps: float, examples: int) -> float:
        """ε itself, a whole number.

        Raises:
            InputError: for an ε that is no whole number from 0 to one less than the examples.
        """
        if eps != int(eps) or not 0 <= eps < examples:
            raise InputError(
                f"eps is {eps:g}; with the fit 'errors' it is the number of training labels that may be wrong, a whole "
                f"number from 0 to {examples - 1}."
            )
        return eps

    def nats(self, high: float, low: float, examples: int) -> float:
        """One for each error less."""
        return high - low

    def readings(self, high: float, low: float, examples: int) -> list[float]:
        """Every number of errors."""
        return [float(k) for k in range(examples - 1, -1, -1) if low < k <= high]


_BELOW_ONE = 1 - 2.0**-12
"""What float32 can still tell from 1 beside a thousand errors."""


@register_fit
class CrossEntropy(Fit):
    """The mean cross-entropy of the labels under the softmax of the outputs, in nats, is below ε.

    It looks at the scale of the outputs, so the prior's scale matters: see the documentation.
    """

    name = "cross-entropy"
    summary = "the mean cross-entropy is below ε, in nats"
    measure = "train_loss"

    def score(self, outputs: Outputs, labels: Tensor) -> Float[Tensor, " draw"]:
        """The mean over examples."""
        own = outputs.gather(1, labels[:, None, None].expand(-1, 1, outputs.shape[2]))[:, 0]
        return (outputs.logsumexp(1) - own).mean(0)


@register_fit
class Hinge(Fit):
    """The mean hinge loss max(0, 1 − margin) is below ε: every label is right by a margin of 1 or nearly so."""

    name = "margin"
    summary = "the mean of max(0, 1 − margin) is below ε"
    measure = "train_loss"

    def score(self, outputs: Outputs, labels: Tensor) -> Float[Tensor, " draw"]:
        """The mean over examples."""
        return (1 - margins(outputs, labels)).clamp_min(0).mean(0)

    def surrogate(self, outputs: Float[Tensor, "start example output"], labels: Tensor) -> Float[Tensor, " start"]:
        """The same, for outputs and labels with the starts in front."""
        own = outputs.gather(2, labels[..., None])
        others = outputs.scatter(2, labels[..., None], -math.inf).amax(2)
        return (1 - own[..., 0] + others).clamp_min(0).mean(1)


@register_fit
class Squared(Fit):
    """The mean squared difference of outputs and labels is below ε: of numbers, or of ±1 for each class."""

    name = "squared"
    summary = "the mean squared error is below ε"
    measure = "train_loss"
    of_classes = False

    def score(self, outputs: Outputs, labels: Tensor) -> Float[Tensor, " draw"]:
        """The mean over examples and outputs."""
        return (outputs - as_numbers(labels, outputs)).square().mean((0, 1))

    def surrogate(self, outputs: Float[Tensor, "start example output"], labels: Tensor) -> Float[Tensor, " start"]:
        """The same, for outputs and labels with the starts in front."""
        if labels.is_floating_point():
            return (outputs - labels[..., None].to(outputs)).square().mean((1, 2))
        codes = torch.full_like(outputs, -1.0).scatter(2, labels[..., None], 1.0)
        return (outputs - codes).square().mean((1, 2))


def as_numbers(labels: Tensor, like: Outputs) -> Float[Tensor, "example output one"]:
    """Numbers as they are; of classes 1 for the own one and −1 for the others."""
    if labels.is_floating_point():
        return labels.to(like).reshape(len(labels), -1, 1)
    codes = torch.full((len(labels), like.shape[1], 1), -1.0, dtype=like.dtype, device=like.device)
    return codes.scatter(1, labels[:, None, None], 1.0)
