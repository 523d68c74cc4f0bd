"""A study: a question, the sweeps that answer it, and what a quick look at it takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from bayesgc.experiments.sweep import Sweep

TASK_SEEDS, QUICK_TASK_SEEDS = list(range(8)), [0, 1, 2]
OF_ARRAYS = "This is not in the paper; tasks and sizes are those of its experiments where nothing else is said."

Axes = dict[str, list[Any]]
Panels = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Part:
    """A sweep of a study: options and axes of its own beside the common ones."""

    options: dict[str, Any]
    axes: Axes


@dataclass(frozen=True)
class Study:
    """A question, and the sweep that answers it.

    ``parts`` are sweeps in folders of their own, by name, where one grid does not hold the study; where they are along
    depth at a width each, ``one_axis`` says that one picture against depth over width shows them all. A quick look
    takes the first and the last value of each axis, in parts the first two, since there the last one is what takes the
    time. ``note`` is printed with the results.
    """

    title: str
    question: str
    options: dict[str, Any]
    axes: Axes = field(default_factory=dict)
    panels: Panels = field(default_factory=dict)
    parts: dict[str, Part] = field(default_factory=dict)
    one_axis: bool = False
    note: str = OF_ARRAYS

    def sweeps(self, *, quick: bool = False) -> dict[str, Sweep]:
        """Its sweeps by the folder that each goes into, ``""`` for the store itself."""
        parts = self.parts or {"": Part({}, self.axes)}
        return {name: self._sweep(name, part, quick=quick) for name, part in parts.items()}

    def _sweep(self, name: str, part: Part, *, quick: bool) -> Sweep:
        axes = {"task_seed": TASK_SEEDS} | part.axes
        if quick:
            axes = {axis: values[:2] if name else [values[0], values[-1]] for axis, values in axes.items()}
            axes["task_seed"] = QUICK_TASK_SEEDS
        return Sweep(
            title=f"{self.title}, {name.replace('-', ' ')}" if name else self.title,
            question=self.question,
            options=self.options | part.options,
            # Replicates are the last axis.
            axes={axis: values for axis, values in axes.items() if axis != "task_seed"}
            | {"task_seed": axes["task_seed"]},
            panels=self.panels,
            notes=["Few sizes and tasks (--quick): a look, not the study.", self.note] if quick else [self.note],
        )
