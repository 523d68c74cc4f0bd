"""A study: a question, the sweeps that answer it, and what a quick look at it takes; written in TOML, as sweeps are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from pydantic import Field

from bayesgc.experiments.sweep import Sweep
from bayesgc.experiments.written import Grid, Written
from bayesgc.validate import InputError

_REPLICATES, _QUICK_REPLICATES = "task_seed", 3
_QUICK = "Few sizes and tasks (--quick): a look, not the study."


class Part(Grid):
    """A sweep of a study: options and axes of its own beside the common ones."""

    options: dict[str, Any] = Field(default_factory=dict)
    axes: dict[str, list[Any]] = Field(default_factory=dict)


class Study(Written):
    """A question, and the sweep that answers it.

    Args:
        title: what is studied.
        question: what it asks, which names the axis that the answer is about.
        options: options of every cell, by the names of ``bayesgc infer``.
        axes: options that vary, with their values; ``task_seed`` is the axis of replicates, and always the last.
        panels: named sets of options that override ``options``.
        notes: what a reader should know, printed with the results.
        claims: what it claims of each sweep, as a `Sweep` has them.
        parts: sweeps in folders of their own, by name, where one grid does not hold the study.
        one_axis: of parts along depth at a width each, whether one picture against depth over width shows them all.

    A quick look takes the first and the last value of each axis and three tasks; in parts the first two values, since
    there the last one is what takes the time.

    Raises:
        InputError: naming the key that does not fit.
    """

    parts: dict[str, Part] = Field(default_factory=dict)
    one_axis: bool = False

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)
        for name in self.parts:
            if PurePath(name).parts != (name,) or name == "..":
                raise InputError(f"part.name is {name!r}; it must serve as the name of a folder.")

    def named(self) -> Iterator[tuple[str, str, Any]]:
        """Every value of every option in one of its sweeps, after where it stands."""
        for sweep in self.sweeps().values():
            yield from sweep.named()

    def sweeps(self, *, quick: bool = False) -> dict[str, Sweep]:
        """Its sweeps by the folder that each goes into, ``""`` for the store itself.

        Raises:
            InputError: naming the key that does not fit.
        """
        parts = self.parts or {"": Part()}
        return {name: self._sweep(name, part, quick=quick) for name, part in parts.items()}

    def _sweep(self, name: str, part: Part, *, quick: bool) -> Sweep:
        axes = self.axes | part.axes
        replicates = {_REPLICATES: axes.pop(_REPLICATES)} if _REPLICATES in axes else {}
        if quick:
            axes = {axis: values[:2] if name else _ends(values) for axis, values in axes.items()}
            replicates = {axis: values[:_QUICK_REPLICATES] for axis, values in replicates.items()}
        return Sweep(
            title=f"{self.title}, {name.replace('-', ' ')}" if name else self.title,
            question=self.question,
            options=self.options | part.options,
            axes=axes | replicates,
            panels=self.panels,
            notes=[_QUICK, *self.notes] if quick else self.notes,
            claims=self.claims,
        )


def _ends(values: list[Any]) -> list[Any]:
    return values if len(values) == 1 else [values[0], values[-1]]
