"""A sweep: fixed options, axes that vary, and panels that override options; written in TOML or in Python."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from bayesgc.analysis.tree.panels import PANEL
from bayesgc.experiments.written import Written
from bayesgc.options import Options
from bayesgc.validate import InputError

if TYPE_CHECKING:  # it imports torch, for which a fault in a sweep's file need not wait
    from bayesgc.experiments.cell import Cell

DEFAULTS: dict[str, Any] = {
    "draws": 25,
    "precision": 0.1,
    "max_seconds": None,
    "max_evaluations": 200_000_000,
    "restarts": 4,
}
"""What a sweep takes where its file says nothing: fewer draws kept and a coarser precision, since tasks differ by more,
a budget that no clock decides, few restarts."""
_OF_DESCENT = ("restarts",)
_ONE_DEVICE = (
    "device is {}; cells are stored without it and would be compared with themselves. Give one device to all, as an "
    "option; to compare devices, run the sweep on each into stores that do not lie side by side."
)


class Sweep(Written):
    """A grid of inferences.

    Args:
        title: what the figure shows.
        question: what the sweep asks.
        options: options of every cell, by the names of ``bayesgc infer``.
        axes: options that vary, with their values, in order; ``task_seed`` is the axis of replicates.
        panels: named sets of options that override ``options``, the first axis where there are any.
        notes: what a reader should know, printed with the results.
        claims: what it claims, each a ``Stated`` or a dict of its keys; left out, the ones shipped for its axes are
            judged.

    Raises:
        InputError: naming the key that does not fit.
    """

    axes: dict[str, list[Any]]

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        self._check_names()

    @property
    def dimensions(self) -> dict[str, list[Any]]:
        """Every axis with its values, panels first."""
        panels = {PANEL: list(self.panels)} if self.panels else {}
        return panels | self.axes

    def with_options(self, **options: Any) -> Sweep:
        """The same sweep with some options of every cell replaced, in panels that set them too."""
        panels = {
            panel: {name: value for name, value in given.items() if name not in options}
            for panel, given in self.panels.items()
        }
        return Sweep(**{**self.model_dump(), "options": self.options | options, "panels": panels})

    def cells(self) -> list[Cell]:
        """Every cell, in the order of the axes, each checked as far as that goes without drawing.

        Raises:
            InputError: naming the cell and what does not fit.
        """
        return list(self._cells())

    def _cells(self) -> Iterator[Cell]:
        from bayesgc.experiments.cell import Cell

        for values in itertools.product(*self.dimensions.values()):
            place = dict(zip(self.dimensions, values, strict=True))
            varied = {name: value for name, value in place.items() if name != PANEL}
            given = self.options | self.panels.get(str(place.get(PANEL)), {}) | varied
            defaults = {
                name: value for name, value in DEFAULTS.items() if given.get("gd", True) or name not in _OF_DESCENT
            }
            try:
                yield Cell(place, Options.checked(defaults | given))
            except InputError as error:
                where = ", ".join(f"{name} = {value}" for name, value in place.items())
                raise InputError(f"cell {where}: {error}") from None

    def _check_names(self) -> None:
        """Axes, options and panels that are there, once each, with values."""
        for name, values in self.axes.items():
            self._check_option(name)
            if not values:
                raise InputError(f"axes.{name} is empty; give at least one value.")
            if any(one == other for one, other in itertools.combinations(values, 2)):
                raise InputError(f"axes.{name} is {values!r}; each value may be there once.")
            if name == "device":
                raise InputError(_ONE_DEVICE.format("an axis"))
            if name in self.options:
                raise InputError(f"{name} is an axis and an option too; leave one of them out.")
            if holder := next((panel for panel, given in self.panels.items() if name in given), None):
                raise InputError(f"{name} is an axis, and panel {holder!r} sets it too; leave one of them out.")
        if any("device" in given for given in self.panels.values()):
            raise InputError(_ONE_DEVICE.format("an option of a panel"))
        for name in itertools.chain(self.options, *self.panels.values()):
            self._check_option(name)
        for place, name, value in self.named():
            self._check_type(place, name, value)
        if not self.dimensions:
            raise InputError("axes is empty; give at least one axis, such as depth = [2, 3, 4].")
        for claim in self.claims:
            claim.check(self.dimensions)

    def _check_option(self, name: str) -> None:
        """Refuse a name that no option has, with where it stands."""
        tables = {"[axes]": self.axes, "[options]": self.options} | {f"panel {k!r}": v for k, v in self.panels.items()}
        try:
            Options.check_name(name)
        except InputError as error:
            where = next(table for table, given in tables.items() if name in given)
            raise InputError(f"{where}: {error}") from None

    @staticmethod
    def _check_type(place: str, name: str, value: Any) -> None:
        """Refuse a value of the wrong type where it stands, and not in each cell that it is for."""
        try:
            Options.typed({name: value})
        except InputError as error:
            raise InputError(f"{place}: {error}") from None

    def named(self) -> Iterator[tuple[str, str, Any]]:
        """Every value of every option, after where it stands."""
        for name, value in self.options.items():
            yield "[options]", name, value
        for name, values in self.axes.items():
            yield from (("[axes]", name, value) for value in values)
        for panel, given in self.panels.items():
            yield from ((f"panel {panel!r}", name, value) for name, value in given.items())
