"""Tasks by name: functions that make one of their options."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from bayesgc.plugins import Registry, blame, is_foreign, options_in
from bayesgc.task.task import Task
from bayesgc.validate import InputError

TaskMaker = Callable[..., Task]
Maker = TypeVar("Maker", bound=TaskMaker)


def _accepted(maker: Any, name: str) -> TaskMaker | None:
    return maker if callable(maker) and not isinstance(maker, type) else None


TASKS = Registry[TaskMaker]("task", "a function that makes a bayesgc.Task", _accepted)


def register_task(name: str) -> Callable[[Maker], Maker]:
    """Decorator: make a function that makes a `Task` available by ``name``.

    Its keyword options are those of the name, as in ``name:key=value``; one called ``seed`` takes the task's seed.

    Raises:
        InputError: where another module has registered a task of this name.
    """

    def decorate(maker: Maker) -> Maker:
        TASKS.register(name, maker)
        return maker

    return decorate


def task_options(maker: TaskMaker) -> dict[str, Any]:
    """The options of a task, with their defaults."""
    return {name: each.default for name, each in inspect.signature(maker).parameters.items()}


def task_named(spec: str, given: Mapping[str, Any], others: tuple[str, ...] = ()) -> Task:
    """The task that ``name:key=value`` makes, with options that are ``given`` apart.

    Raises:
        InputError: for an unknown name or option, or a function that makes no task; ``others`` are named as known too.
    """
    maker, text = TASKS.find(spec, others)
    options = options_in(TASKS.kind, spec, text, task_options(maker))
    if twice := sorted((given.keys() & options.keys()) - {"seed"}):
        raise InputError(f"task is {spec!r}, and `{twice[0]}` is given too; give it once.")
    with blame(f"task {spec!r}") if is_foreign(maker) else contextlib.nullcontext():
        task = maker(**{**given, **options})
    if not isinstance(task, Task):
        raise InputError(f"task {spec!r} gave {task!r}; it must give a bayesgc.Task.")
    return task
