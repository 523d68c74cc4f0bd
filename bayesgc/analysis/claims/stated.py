"""Claims as data: a loss at some cells of a sweep over another one, and what this factor is claimed to be.

The file of a sweep states its own in this form, and the shipped ones along width and depth are written in it too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import xarray as xr
from pydantic import BaseModel, ConfigDict, field_validator

from bayesgc.analysis.claims.decisions import Claim, beside_descent, decide, ratio_of
from bayesgc.analysis.measures import Measures, measures_over
from bayesgc.analysis.tree.panels import axes_of, cut
from bayesgc.validate import InputError, nearest

Law = Literal["posterior", "prior", "zero", "gd_at_eps", "gd"]
_WHO = {
    "posterior": "Guess & Check",
    "prior": "the prior",
    "gd_at_eps": "gradient descent where it passes ε",
    "gd": "gradient descent at its end",
}
_ENDS = {"first": 0, "last": -1}
_TASKS = "task_seed"


class Stated(BaseModel):
    """One claim about a sweep: that a factor is above, below or within a number.

    The factor is the loss that tells how a law generalises, at the cells ``at``, over that of the law ``over`` at
    ``over_at``. It is decided on every combination of the axes that are not named, by its mean over tasks.

    Args:
        claim: what is claimed, in a few words.
        law: of the numerator: ``posterior``, ``prior``, ``zero`` (who knows nothing), ``gd_at_eps`` or ``gd``.
        at: axes with one of their values each, or with ``first`` or ``last`` as the sweep lists them.
        over: of the denominator.
        over_at: the same axes with other values; left open, the same cells.
        above: the claim is that the factor is above this.
        below: that it is below this.
        within: that it is from 1/this to this.
        note: what is to be said with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    claim: str
    law: Law = "posterior"
    at: dict[str, Any] = {}
    over: Law = "posterior"
    over_at: dict[str, Any] | None = None
    above: float | None = None
    below: float | None = None
    within: float | None = None
    note: str = ""

    @field_validator("at", "over_at")
    @classmethod
    def _underscores(cls, places: dict[str, Any] | None) -> dict[str, Any] | None:
        """Axes may be written with dashes, as on the command line."""
        return None if places is None else {axis.replace("-", "_"): value for axis, value in places.items()}

    @property
    def limit(self) -> float:
        """The number that the factor is compared with."""
        [limit] = self._limits
        return limit

    @property
    def _limits(self) -> list[float]:
        return [each for each in (self.above, self.below, self.within) if each is not None]

    def check(self, axes: Mapping[str, Sequence[Any]]) -> None:
        """Whether it says something about a sweep over these axes.

        Raises:
            InputError: naming the key that does not fit.
        """
        if not self.claim.strip():
            raise InputError("a claim has no words; say in claim what is claimed.")
        name = f"claim {self.claim!r}"
        if len(self._limits) != 1 or not 0 < self.limit < math.inf:
            raise InputError(f"{name}: give one of above, below and within, a number above 0.")
        if self.within is not None and self.within <= 1:
            raise InputError(f"{name}: within is {self.within:g}; it is a factor above 1, such as 1.1.")
        if len(axes.get(_TASKS, ())) < 2:
            raise InputError(f"{name}: it is decided over tasks; give the axis task-seed at least two values.")
        if self.over_at is not None and set(self.at) != set(self.over_at):
            raise InputError(f"{name}: at and over_at must name the same axes.")
        ours, theirs = (_positions(name, axes, places) for places in (self.at, self.over_at or self.at))
        if self.law == self.over and ours == theirs:
            raise InputError(f"{name}: its factor is always 1; give over or over_at.")


def _positions(name: str, axes: Mapping[str, Sequence[Any]], places: Mapping[str, Any]) -> dict[str, int]:
    """Where each of the values stands on its axis."""
    found = {}
    for axis, value in places.items():
        if axis not in axes or axis == _TASKS:
            known = [each for each in axes if each != _TASKS]
            raise InputError(
                f"{name}: there is no axis {axis!r} to be at; choose from {', '.join(known)}.{_meant(axis, known)}"
            )
        position = _position(axes[axis], value)
        if position is None:
            known = [*map(str, axes[axis]), *_ENDS]
            raise InputError(f"{name}: {axis} is {value!r}; choose from {', '.join(known)}.{_meant(value, known)}")
        found[axis] = position
    return found


def _meant(value: object, known: Sequence[str]) -> str:
    """The nearest name, as a question."""
    near = nearest(value, known)
    return "" if near is None else f" Did you mean {near!r}?"


def _position(labels: Sequence[Any], value: Any) -> int | None:
    """Where a value stands on an axis, of which a dataset may know the text alone; None where it does not."""
    if isinstance(value, str) and value in _ENDS:
        return range(len(labels))[_ENDS[value]]
    return next((i for i, label in enumerate(labels) if label == value or str(label) == str(value)), None)


def decided(stated: Stated, dataset: xr.Dataset, where: str) -> Iterator[Claim]:
    """A claim on each panel of a sweep; ``where`` is what the sweep is called."""
    others = [name for name in axes_of(dataset) if name != _TASKS and name not in stated.at]
    for panel, part in cut(dataset, others):
        above = _cells(part, stated.at)
        below = above if stated.over_at is None else _cells(part, stated.over_at)
        yield decide(
            stated.claim,
            ", ".join(filter(None, (where, panel))),
            ratio_of(above, below, law=stated.law, under=stated.over),
            stated.limit,
            _measured(stated, above, below),
            stated.note,
            above=stated.above is not None,
            within=stated.within is not None,
        )


def _cells(part: xr.Dataset, at: Mapping[str, Any]) -> xr.Dataset:
    return part.isel({axis: _position(part[axis].values.tolist(), value) for axis, value in at.items()})


def _measured(stated: Stated, above: xr.Dataset, below: xr.Dataset) -> str:
    """The factor in words."""
    measures = measures_over(above)
    measure, drawn = measures.generalisation, stated.law in ("posterior", "prior")
    loss = measure.average if drawn else measure.symbol
    loss = f"median {measure.symbol}" if beside_descent(stated.law, stated.over) else loss
    first, second = (_place(cells, stated.at) for cells in (above, below))
    over = "that" if stated.law == stated.over else f"that of {_who(stated.over, measures)}"
    return f"{loss} of {_who(stated.law, measures)}{first} over {over}{second if stated.over_at else ''}"


def _place(cells: xr.Dataset, at: Mapping[str, Any]) -> str:
    named = ", ".join(f"{axis.replace('_', ' ')} {cells[axis].item()}" for axis in at)
    return f" at {named}" if named else ""


def _who(law: str, measures: Measures) -> str:
    return _WHO.get(law, measures.ignorant.phrase)
