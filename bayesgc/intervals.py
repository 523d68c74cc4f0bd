"""The interval of a number, and what a difference means: one rule for laws, results, tasks and claims.

A number whose standard error has so many degrees of freedom has the interval of Student's t. Losses are compared by
their ratio, on the logarithmic scale, so that no interval has an end below zero. Over tasks they are paired: the tasks
are the replicates, and their spread contains the errors of sampling, but for one that all tasks have in common. A
difference is clear where the 95 % interval leaves zero out by more than rounding could have done; two losses are alike
where the whole interval of their ratio is within a margin; else nothing is decided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri, stdtrit

LEVEL = 0.05
MARGIN = 1.1
"""A loss that changes by less than this factor has not changed."""
_ROUNDINGS = 16
"""Roundings that may add up in the residual of a measurement."""

_LARGEST = math.log(np.finfo(np.float64).max)

Pair = tuple[float, float]


class Standing(IntEnum):
    """How one number compares with another; ``EQUAL`` also where nothing is decided."""

    LOWER = -1
    EQUAL = 0
    HIGHER = 1


@dataclass(frozen=True)
class Number:
    """A number with its standard error, the error's degrees of freedom, and what rounding may have done to it.

    An error that is not known is infinite.
    """

    value: float
    error: float = 0.0
    freedom: float = math.inf
    blur: float = 0.0

    def interval(self, level: float = LEVEL) -> Pair:
        """The interval that contains the true number but for a probability of ``level``."""
        half = self.error * _quantile(1 - level / 2, self.freedom) if self.error else 0.0
        return self.value - half, self.value + half

    def factors(self) -> tuple[float | None, float | None] | None:
        """The interval of a logarithm as factors; None where no error is known, and for an end beyond all numbers."""
        if not math.isfinite(self.error):
            return None
        low, high = (math.exp(end) if end < _LARGEST else None for end in self.interval())
        return low, high

    def __sub__(self, other: Number) -> Number:
        """The difference of independent numbers, its degrees of freedom by Welch and Satterthwaite."""
        return _total([self, Number(-other.value, other.error, other.freedom, other.blur)])

    def __truediv__(self, count: float) -> Number:
        return Number(self.value / count, self.error / count, self.freedom, self.blur / count)

    @property
    def standing(self) -> Standing:
        """Whether it is clearly below zero or above it."""
        low, high = self.interval()
        if low > self.blur:
            return Standing.HIGHER
        return Standing.LOWER if high < -self.blur else Standing.EQUAL

    @property
    def alike(self) -> bool:
        """Whether two losses, of whose ratio this is the logarithm, are the same to within the margin."""
        low, high = self.interval()
        bound = math.log(MARGIN) + self.blur
        return bool(-bound < low and high < bound)

    @property
    def judgement(self) -> str:
        """``lower``, ``higher``, ``alike`` or ``undecided``: what the logarithm of a ratio says of the first loss."""
        words = {Standing.LOWER: "lower", Standing.HIGHER: "higher"}
        return words.get(self.standing, "alike" if self.alike else "undecided")


@dataclass(frozen=True)
class Ratio:
    """One loss over another on each task, or another number of each.

    ``error`` is the Monte Carlo error of its logarithm, of the number itself where no logarithm is taken, with
    ``freedom`` for its own degrees of freedom; where ``shared``, tasks share their draws and so that error. ``blur`` is
    what rounding may have done to the logarithm. ``note`` says what is to be read with care.
    """

    factor: Float[np.ndarray, " task"]
    error: Float[np.ndarray, " task"] | None = None
    shared: bool = False
    note: str = ""
    freedom: float = math.inf
    blur: float = 0.0

    @property
    def there(self) -> Bool[np.ndarray, " task"]:
        """The tasks on which both losses are known."""
        known: np.ndarray = np.isfinite(self.factor)
        return known

    @property
    def tasks(self) -> int:
        """How many these are."""
        return int(self.there.sum())

    @property
    def mean_error(self) -> float | None:
        """The Monte Carlo error of the mean over tasks; it does not shrink with their number where it is one error."""
        if self.error is None:
            return None
        errors = self.error[self.there]
        return float(errors.mean() if self.shared else np.sqrt(np.sum(errors**2)) / errors.size)

    @property
    def judgement(self) -> str:
        """What the ratio says of tasks like these; undecided where a task has none, as those left are the easy ones."""
        complete = self.tasks == self.factor.size > 1
        return self.over_tasks().judgement if complete else "undecided"

    def over_tasks(self, *, plain: bool = False) -> Number:
        """The mean of the logarithms, or ``plain`` of the numbers, as tasks like these have it; two make an error."""
        values = self._values(plain=plain)
        spread = float(values.std(ddof=1) / math.sqrt(values.size)) if values.size > 1 else math.inf
        common = (self.mean_error or 0.0) if self.shared else 0.0
        return Number(float(values.mean()), _known(math.hypot(spread, common)), values.size - 1, self.blur)

    def of_these_tasks(self, *, plain: bool = False) -> Number:
        """The same mean for these very tasks, with the error of sampling alone."""
        error = math.inf if self.mean_error is None else _known(self.mean_error)
        return Number(float(self._values(plain=plain).mean()), error, self.freedom, self.blur)

    def _values(self, *, plain: bool) -> Float[np.ndarray, " task"]:
        factor = self.factor[self.there]
        return factor if plain else np.asarray(np.log(factor))


def log_loss(
    value: float, error: float | None, *, freedom: float = math.inf, zero: float | None = None, dtype: str = "float32"
) -> Number:
    """The logarithm of a loss; see `resolved` for ``zero`` and ``dtype``."""
    (raised,), blur = resolved(np.array([value]), np.array([math.nan if zero is None else zero]), dtype)
    relative = math.inf if error is None else error / raised
    return Number(math.log(raised), _known(relative), freedom, blur)


def resolved(
    losses: Float[np.ndarray, " task"], zero: Float[np.ndarray, " task"], dtype: str = "float32"
) -> tuple[Float[np.ndarray, " task"], float]:
    """Losses no smaller than the precision resolves, and by how much rounding may have moved their mean logarithm.

    A loss is a mean of squared residuals, each of which is rounded relative to what is measured, whose mean square is
    ``zero``, the zero matrix's loss; NaN where it is not known, and then the loss itself is taken.
    """
    step = _ROUNDINGS * float(np.finfo(dtype).eps)
    scale = np.where(np.isfinite(zero), zero, losses)
    raised = np.maximum(losses, np.maximum(step**2 * scale, np.finfo(np.float64).tiny))
    known = np.isfinite(raised)
    moved = 2 * np.log1p(step * np.sqrt(scale[known] / raised[known]))
    return raised, float(moved.mean()) if known.any() else 0.0


def mean_of(numbers: Sequence[Number]) -> Number:
    """The mean of independent numbers."""
    return _total(numbers) / len(numbers)


def _total(numbers: Sequence[Number]) -> Number:
    squares = [float(number.error) ** 2 for number in numbers]
    total = sum(squares)
    # By Welch and Satterthwaite, where all errors are known.
    known = [(square, number.freedom) for square, number in zip(squares, numbers, strict=True) if square]
    parts = sum(square**2 / freedom for square, freedom in known) if math.isfinite(total) else 0.0
    freedom = total**2 / parts if parts else math.inf
    value, blur = math.fsum(number.value for number in numbers), math.fsum(number.blur for number in numbers)
    return Number(value, math.sqrt(total), freedom, blur)


def _quantile(share: float, freedom: float) -> float:
    return float(stdtrit(freedom, share) if math.isfinite(freedom) else ndtri(share))


def _known(error: float) -> float:
    return math.inf if math.isnan(error) else error
