"""What can be said against a sweep before it runs."""

from __future__ import annotations

import functools

from bayesgc.api import check_inference
from bayesgc.experiments.cell import Cell
from bayesgc.experiments.jobs import conditioning_settings
from bayesgc.options import TASK, Options
from bayesgc.task import Task, linear_view
from bayesgc.validate import InputError


def check_cells(cells: list[Cell]) -> None:
    """Make every cell's task, model and method, and check what `infer` would check, without drawing.

    Raises:
        InputError: naming the cell and what does not fit.
    """
    make = functools.cache(_task)
    for cell in cells:
        try:
            of_task = cell.options.given & Options.names(TASK)
            task = make(frozenset((name, getattr(cell.options, name)) for name in of_task))
            settings = conditioning_settings(cell.options, cell.seed, task)
            budget = ("max_seconds", "max_evaluations")
            check_inference(
                cell.options.make_model(task),
                task,
                **{name: value for name, value in settings.items() if name not in budget},
            )
            if linear_view(task) is not None:
                cell.options.make_descent()
        except InputError as error:
            where = ", ".join(f"{name} = {value}" for name, value in cell.place.items())
            raise InputError(f"cell {where}: {error}") from None


def _task(given: frozenset[tuple[str, object]]) -> Task:
    return Options.checked(dict(given)).make_task()
