"""A task: what a model is fitted to, how a fit is scored, and how it is judged; and the reference points beside it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from bayesgc.task.domain import Domain
from bayesgc.validate import InputError, real_in


@dataclass(frozen=True)
class Reference:
    """A reference point: one output (None where there is no single one) and its measures of fit and generalisation.

    ``note`` says what the end of the time did to it.
    """

    output: Float[np.ndarray, "*shape"] | None
    fit: float | None
    primary: float | None
    note: str | None = None


Variables = dict[str, tuple[tuple[str, ...], np.ndarray]]
"""Arrays by name, each with the names of its axes."""


class Task(ABC):
    """What a model is fitted to.

    A draw of a model is one array of ``shape``, its *output* for the task: the end-to-end array itself, or a network's
    outputs at the training inputs. Outputs are vectorised row by row with the draw axis last. The event that models are
    conditioned on is that the score of the output is below ε.
    """

    kind: str
    shape: tuple[int, ...]
    dims: tuple[str, ...] = ("row", "col")
    coords: dict[str, list[str]] = {}  # noqa: RUF012 - kinds of task have their own
    description: dict[str, int | float | str] = {}  # noqa: RUF012
    noisy: bool = False
    """Whether what models are fitted to was measured, and so holds noise that a fit need not follow."""
    primary: str
    """The measure of generalisation, by its name among the `measures`: lower is better."""
    fit: str
    """The measure of fit, by its name among the `measures`."""
    scored: str = "the score"
    """What a threshold is on, in words."""
    output: ClassVar[str] = "end_to_end"
    """What the output of a draw is called in results."""
    measured: ClassVar[dict[str, tuple[str, ...]]] = {}
    """The names of the axes of those `measures` that are more than a number for each draw."""

    @property
    def domain(self) -> Domain:
        """What a model must know of the task to give outputs for it: of an array its shape."""
        return self.shape

    @property
    def facts(self) -> dict[str, object]:
        """What the task is, as plain values for the record."""
        return {**self.description, "kind": self.kind, "shape": list(self.shape)}

    @property
    def size_in_words(self) -> str:
        """Its size in words, as ``5×5, 15 measurements``."""
        return "×".join(map(str, self.shape))

    @property
    def in_brief(self) -> str:
        """What it is, how large, and where from, in one line."""
        sources = (f"{name} {self.description[name]}" for name in ("file", "set", "seed") if name in self.description)
        return ", ".join([f"{self.kind} {self.size_in_words}", *sources])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.in_brief}>"

    @abstractmethod
    def observed(self) -> Variables:
        """What models are fitted to."""

    def constants(self) -> Variables:
        """What else a reader of a result needs to know of the task, where it is not too large to keep."""
        return {}

    def truth_known(self) -> Variables:
        """The truth, where it is known, as the output of a draw."""
        return {}

    def in_units(self, outputs: Float[np.ndarray, "*array"]) -> Float[np.ndarray, "*array"]:
        """Outputs (..., *shape) in the units of the data."""
        return outputs

    @property
    @abstractmethod
    def tested(self) -> int:
        """How much is held out to test on: directions of an array, or examples."""

    @property
    def kept_numbers(self) -> int:
        """Roughly the numbers that are kept of each draw."""
        return math.prod(self.shape) + 10

    @property
    def zero(self) -> dict[str, float]:
        """The measures of the zero predictor that others are shown relative to, where there are such."""
        return {}

    def threshold(self, eps: float | str | None) -> float:
        """The threshold on the score that ``eps`` stands for; None for the task's own, where it has one.

        Raises:
            InputError: for what is no threshold of this task.
        """
        if eps is None:
            raise InputError(f"the task {self.kind!r} needs a threshold: give `eps`.")
        return real_in("eps", eps, 0, open_low=True)

    def shown(self, threshold: float) -> float:
        """A threshold on the score as readers know it; infinite where it says nothing of the measure of fit."""
        return threshold

    @property
    def judged(self) -> bool:
        """Whether the measure of generalisation is known."""
        return True

    @abstractmethod
    def score(self, outputs: Float[Tensor, "entry draw"]) -> Float[Tensor, " draw"]:
        """How badly each draw fits; not finite where an entry is not."""

    def nats(self, high: float, low: float) -> float:
        """Roughly the log of the factor by which the volume falls between two thresholds on the score.

        By default that of a smooth score with a minimum in as many directions as the output has entries.
        """
        return 0.5 * math.prod(self.shape) * math.log(high / low)

    def readings(self, high: float, low: float) -> list[float]:
        """The thresholds above ``low``, up to ``high``, at which the volume is to be told, falling."""
        return []

    @abstractmethod
    def measures(
        self,
        outputs: Float[Tensor, "entry draw"],
        held_out: Float[Tensor, "held_out draw"] | None = None,
        score: Float[Tensor, " draw"] | None = None,
    ) -> dict[str, Float[Tensor, "draw *rest"]]:
        """All that is reported of each draw, by name, the measures of fit and of generalisation among it.

        ``held_out`` are the outputs where they are tested, for tasks that test elsewhere than they train; ``score`` is
        the one that was tested, where it is at hand: one of another batch shape may be rounded differently.
        """

    def generalisation(
        self, outputs: Float[Tensor, "entry draw"], held_out: Float[Tensor, "held_out draw"] | None = None
    ) -> Float[Tensor, " draw"] | None:
        """The measure of generalisation alone; None where it is not known."""
        return self.measures(outputs, held_out).get(self.primary)

    def replicated(
        self, outputs: Float[Tensor, "entry draw"], fit: Float[Tensor, " draw"], source: torch.Generator
    ) -> dict[str, Shaped[Tensor, "draw *rest"]]:
        """What each draw would have one observe, by the names of `observed`; empty where a kind of task does not say.

        ``fit`` is the measure of fit of each draw, and ``source`` has the random numbers of what noise there is.
        """
        return {}

    def why_absent(self, *, normalize: bool) -> dict[str, str]:
        """Why reference points are not among the `references`, by name."""
        return {}

    def references(self, *, normalize: bool, stop: Callable[[], bool] = lambda: False) -> Mapping[str, Reference]:
        """The reference points by name, for models of any size or, with ``normalize``, of Frobenius norm 1."""
        return {}
