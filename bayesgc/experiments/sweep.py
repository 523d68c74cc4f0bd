"""A sweep: fixed options, axes that vary, and panels that override options; written in TOML or in Python."""

from __future__ import annotations

import itertools
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from bayesgc.analysis.claims.stated import Stated
from bayesgc.analysis.tree.panels import PANEL
from bayesgc.options import Options, refusal
from bayesgc.options.names import check_names
from bayesgc.validate import InputError, nearest

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
_CLAIM = "claim"
_ONE_DEVICE = (
    "device is {}; cells are stored without it and would be compared with themselves. Give one device to all, as an "
    "option; to compare devices, run the sweep on each into stores that do not lie side by side."
)


class Sweep(BaseModel):
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

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    title: str
    question: str = ""
    options: dict[str, Any] = {}
    axes: dict[str, list[Any]]
    panels: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    claims: list[Stated] = []

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            inside = error.errors()[0]["loc"][:1] == ("claims",)
            raise refusal(error, keys=(Stated if inside else type(self)).model_fields) from None
        self._check_names()

    @field_validator("axes", mode="before")
    @classmethod
    def _lists(cls, axes: Any) -> Any:
        """Ranges, tuples and arrays are as good as lists."""
        if not isinstance(axes, Mapping):
            return axes
        return {name: _list(values) for name, values in axes.items()}

    @field_validator("options", "axes")
    @classmethod
    def _underscores(cls, named: dict[str, Any]) -> dict[str, Any]:
        """Options may be written with dashes, as on the command line."""
        return _plain_keys(named)

    @field_validator("panels")
    @classmethod
    def _underscores_inside(cls, panels: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {name: _plain_keys(given) for name, given in panels.items()}

    @classmethod
    def load(cls, file: str | os.PathLike[str]) -> Sweep:
        """The sweep written in a TOML file; there a panel is a table ``[[panel]]`` with a name, a claim ``[[claim]]``.

        Raises:
            InputError: for a file that cannot be read, or a key that does not fit.
        """
        path = Path(file)
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}); give a sweep in TOML.") from None
        except UnicodeDecodeError:
            raise InputError(f"{path} is not text in UTF-8, as TOML is; save it so.") from None
        except tomllib.TOMLDecodeError as error:
            raise InputError(f"{path} is not TOML: {error}.") from None
        try:
            _check_keys(content)
            for table, name, read in ((PANEL, "panels", _panels), (_CLAIM, "claims", _claims)):
                if {table, name} <= content.keys():
                    raise InputError(f"{table} and {name} are both there; write tables [[{table}]] alone.")
                if table in content:
                    content[name] = read(content.pop(table))
                elif isinstance(content.get(name), list):
                    content[name] = read(content.pop(name))
            sweep = cls(**content)
            check_names(sweep._named())
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return sweep

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

    def _named(self) -> Iterator[tuple[str, str, Any]]:
        """Every value of every option, after where it stands."""
        for name, value in self.options.items():
            yield "[options]", name, value
        for name, values in self.axes.items():
            yield from (("[axes]", name, value) for value in values)
        for panel, given in self.panels.items():
            yield from ((f"panel {panel!r}", name, value) for name, value in given.items())


def _list(values: Any) -> Any:
    """Values of an axis as a list, where they are something like one."""
    if hasattr(values, "tolist"):  # of an array, whose elements are no numbers of Python
        return values.tolist()
    return list(values) if hasattr(values, "__iter__") and not isinstance(values, str | dict) else values


def _check_keys(content: Mapping[str, Any]) -> None:
    """Refuse, in words of the file, keys that it cannot have, and options that stand outside of their tables."""
    for key in [each for each in content if each not in {*_WRITTEN, "panels", "claims"}]:
        if key.replace("-", "_") in Options.model_fields:
            raise InputError(f"{key} is an option; write it below [options], or with a list of values below [axes].")
        near = nearest(key, _WRITTEN)
        raise InputError(f"there is no key {key!r}{f'; did you mean {_WRITTEN[near]}?' if near else '.'}")


_WRITTEN = {
    "title": "title", "question": "question", "notes": "notes", "options": "[options]", "axes": "[axes]",
    PANEL: f"[[{PANEL}]]", _CLAIM: f"[[{_CLAIM}]]",
}  # fmt: skip
"""What a file may hold, and how it is written."""


def _panels(tables: Any) -> dict[str, dict[str, Any]]:
    """Panels by their names, from the tables of a file."""
    if not isinstance(tables, list):
        raise InputError(_single(PANEL, tables, " with a name"))
    panels: dict[str, dict[str, Any]] = {}
    for table in tables:
        name = table.pop("name", None) if isinstance(table, dict) else None
        if not isinstance(name, str) or name in panels:
            raise InputError(f"panel.name is {name!r}; each [[panel]] needs a name of its own.")
        panels[name] = table
    return panels


def _single(table: str, found: Any, more: str = "") -> str:
    """How tables are written of which there may be several."""
    what = f"[{table}] is one table" if isinstance(found, dict) else f"{table} is {found!r}"
    return f"{what}; write each {table} as a table [[{table}]]{more}, in two brackets."


def _claims(tables: Any) -> list[Stated]:
    """Claims, from the tables of a file."""
    if not isinstance(tables, list):
        raise InputError(_single(_CLAIM, tables))
    claims = []
    for count, table in enumerate(tables, 1):
        try:
            claims.append(Stated(**table))
        except ValidationError as error:
            raise InputError(f"[[claim]] {count}: {refusal(error, parts=1, keys=Stated.model_fields)}") from None
    return claims


def _plain_keys(named: dict[str, Any]) -> dict[str, Any]:
    return {key.replace("-", "_"): value for key, value in named.items()}
