"""What a worker does: one job in, the bytes of its parts out. Nothing here knows where it runs or who else does."""

from __future__ import annotations

import json
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from bayesgc.analysis.tree.datatree import versions
from bayesgc.analysis.tree.storage import CREATOR, SCHEMA, as_bytes
from bayesgc.analysis.tree.strict import to_json
from bayesgc.api import infer, infer_together
from bayesgc.experiments.cell import Cell
from bayesgc.experiments.store import CELLS, DESCENTS, FAILURES, SUMMARIES
from bayesgc.experiments.summaries import summary_of
from bayesgc.inference import (
    Control,
    Criterion,
    Descent,
    GradientDescent,
    Outcome,
    device_named,
    dtype_named,
    why_no_descent,
)
from bayesgc.inference.control import one_thread_each
from bayesgc.models import Model, as_sites, factorised
from bayesgc.options import Options
from bayesgc.task import Task, linear_view
from bayesgc.validate import InputError

_ONE_AT_A_TIME = threading.Lock()
"""Pyro's effect handlers belong to the process, so a worker with several threads takes one job at a time."""


@dataclass(frozen=True)
class Part:
    """A finished file of the store: a cell or its summary, a gradient descent, or why there is none."""

    kind: str
    key: str
    content: bytes


@runtime_checkable
class Job(Protocol):
    """A piece of work that can be sent to another process."""

    @property
    def keys(self) -> list[str]:
        """The keys of what it makes."""
        ...

    @property
    def label(self) -> str:
        """What it is, for the progress."""
        ...

    def run(self) -> list[Part]:
        """Do it."""
        ...


@dataclass(frozen=True)
class CellJob:
    """The conditioning of one cell."""

    place: dict[str, Any]
    given: dict[str, Any]
    key: str
    seed: int

    @classmethod
    def of(cls, cell: Cell) -> CellJob:
        """The job that makes this cell's file."""
        return cls(cell.place, {name: getattr(cell.options, name) for name in cell.options.given}, cell.key, cell.seed)

    @property
    def keys(self) -> list[str]:
        return [self.key]

    @property
    def label(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.place.items())

    def run(self) -> list[Part]:
        """Infer, without gradient descent: that is another job's."""
        options = Options.checked(self.given)
        task = options.make_task()
        settings = conditioning_settings(options, self.seed, task)
        tree = infer(options.make_model(task), task, progress=False, **settings)
        if tree.attrs["outcome"] == Outcome.INTERRUPTED:
            raise KeyboardInterrupt
        return _cell(self.key, tree)


@dataclass(frozen=True)
class SharedJob:
    """Cells by rejection that share the law of the weights: one set of draws serves them all."""

    cells: list[CellJob]

    @property
    def keys(self) -> list[str]:
        return [cell.key for cell in self.cells]

    @property
    def label(self) -> str:
        first = self.cells[0].label
        return first if len(self.cells) == 1 else f"{first} and {len(self.cells) - 1} more on the same draws"

    def run(self) -> list[Part]:
        """Infer together; where that fails, each cell on its own, so that one takes no other with it."""
        try:
            return self._together()
        except Exception:  # noqa: BLE001 - the one at fault fails again below
            return [part for cell in self.cells for part in _attempt(cell)]

    def _together(self) -> list[Part]:
        models: dict[str, Model] = {}
        problems = []
        for cell in self.cells:
            options = Options.checked(cell.given)
            task = options.make_task()
            model = options.make_model(task)
            problems.append((models.setdefault(repr(model), model), task, options.eps))
        settings = conditioning_settings(options, self.cells[0].seed)
        shared = {name: value for name, value in settings.items() if name not in ("eps", "method", "gd", "map")}
        trees = infer_together(problems, **shared)
        if any(tree.attrs["outcome"] == Outcome.INTERRUPTED for tree in trees):
            raise KeyboardInterrupt
        return [part for cell, tree in zip(self.cells, trees, strict=True) for part in _cell(cell.key, tree)]


@dataclass(frozen=True)
class DescentJob:
    """Gradient descent on the tasks that run together with one cell's."""

    given: dict[str, Any]
    key: str
    task_seeds: list[int]

    @classmethod
    def of(cls, cell: Cell) -> DescentJob:
        """The job that makes the gradient descent of this cell and of others with the same inputs."""
        given = {name: getattr(cell.options, name) for name in cell.options.given}
        return cls(given, str(cell.descent_key), cell.task_seeds)

    @property
    def keys(self) -> list[str]:
        return [self.key]

    @property
    def label(self) -> str:
        shown = {name: self.given[name] for name in ("activation", "depth", "width") if name in self.given}
        return "gradient descent, " + ", ".join(f"{name} {value}" for name, value in shown.items())

    def run(self) -> list[Part]:
        """Descend on every task in one batch."""
        began = time.perf_counter()
        options = Options.checked(self.given)
        given = {name: value for name, value in self.given.items() if name != "task_seed"}
        seeds = {} if options.data is not None else {"task_seed": self.task_seeds}
        each = [Options.checked(given | {name: seed}) for name, values in seeds.items() for seed in values] or [options]
        tasks = [one.make_task() for one in each]
        model, method = options.make_model(tasks[0]), options.make_descent() or GradientDescent()
        found = _descend(model, tasks, method, options)
        dataset = _descents(found, self.task_seeds, seconds=time.perf_counter() - began)
        return [Part(DESCENTS, self.key, _netcdf(xr.DataTree(dataset)))]


def conditioning_settings(options: Options, seed: int, task: Task | None = None) -> dict[str, Any]:
    """The arguments of `infer` for a cell; no mode is sought unless that is said.

    Gradient descent is another job's, but for labelled examples, of which no cells share one.
    """
    settings = options.settings(task)
    if task is None or linear_view(task) is not None:
        settings["gd"] = False
    return settings | {"seed": seed, "map": options.map or False}


def execute(job: Job) -> list[Part]:
    """Run a job on one thread; whatever goes wrong in it is its result."""
    with _ONE_AT_A_TIME, one_thread_each(1):
        return _attempt(job)


def failed(job: Job, reason: str, details: str = "") -> list[Part]:
    """In place of what a job makes, why it made nothing."""
    text = json.dumps({"reason": " ".join(reason.split()), "job": job.label, "details": details}, indent=2)
    return [Part(FAILURES, key, text.encode()) for key in job.keys]


def _attempt(job: Job) -> list[Part]:
    try:
        return job.run()
    except Exception as error:  # noqa: BLE001 - one failing cell never ends the sweep
        return failed(job, f"{type(error).__name__}: {str(error) or 'no message'}", traceback.format_exc())


def _descend(model: Model, tasks: list[Task], method: GradientDescent, options: Options) -> list[Descent]:
    """Gradient descent on every task, in one batch where the model has a gradient for that."""
    place = device_named(options.device)
    dtype, whitened = dtype_named(options.dtype, place), model.whiten(tasks[0].domain)
    criteria = [Criterion(task, whitened, 0.0, place, dtype) for task in tasks]
    program, layered = as_sites(whitened), factorised(model)
    if program is not None:
        if reason := why_no_descent(program):
            raise InputError(f"{reason}; turn gradient descent off by gd = false.")
        return [method.run_program(program, criterion, options.seed, Control()) for criterion in criteria]
    if layered is None:
        raise InputError("gradient descent needs a factorisation or a Pyro program; turn it off by gd = false.")
    return method.run_together(layered, criteria, options.seed, Control())


def _descents(found: list[Descent], task_seeds: list[int], *, seconds: float) -> xr.Dataset:
    """The end points, the training losses on the way and the curve of descent, of every restart on every task."""
    dims = ("task_seed", "restart")
    variables: dict[str, Any] = {
        name: (dims, np.stack([one.quantities[name].numpy() for one in found]))
        for name in ("gen_loss", "train_loss", "effective_rank", "nuclear_norm")
        if name in found[0].quantities
    }
    if found[0].diverged is not None:
        flags = [one.diverged.numpy() for one in found if one.diverged is not None]
        variables["diverged"] = (dims, np.stack(flags))
    variables["steps"] = (dims, np.stack([one.steps.numpy() for one in found]))
    axes = (
        ("row", "col")
        if found[0].end_to_end.ndim == 3
        else tuple(f"axis{i}" for i in range(1, found[0].end_to_end.ndim))
    )
    variables["end_to_end"] = ((*dims, *axes), np.stack([one.end_to_end.numpy() for one in found]))
    coords: dict[str, Any] = {"task_seed": task_seeds}
    variables |= _curves(found)
    if steps := sorted({step for one in found for step in one.trace or ()}):
        coords["step"] = steps
        losses = [np.stack([_losses_at(one, step) for step in steps], axis=-1) for one in found]
        variables["train_loss_at_step"] = ((*dims, "step"), np.stack(losses))
    attributes = {
        "creation_library": CREATOR,
        "schema": SCHEMA,
        "configuration": to_json(found[0].configuration),
        "seconds": seconds,
        "versions": to_json(versions()),
    }
    return xr.Dataset(variables, coords, attributes)


def _curves(found: list[Descent]) -> dict[str, Any]:
    """The losses of every restart at its first passage of each level; levels are shares of each task's zero loss."""
    curves = [one.curve for one in found if one.curve is not None]
    losses = {name: np.stack([getattr(one, name) for one in curves]) for name in ("train_loss", "gen_loss")}
    levels = np.stack([one.threshold for one in curves])
    return {"curve_threshold": (("task_seed", "level"), levels)} | {
        f"curve_{name}": (("task_seed", "restart", "level"), values) for name, values in losses.items()
    }


def _losses_at(descent: Descent, step: int) -> np.ndarray:
    """The training losses at a step, of tasks that ended before it those at their end."""
    ended: np.ndarray = descent.quantities["train_loss"].numpy()
    return (descent.trace or {}).get(step, ended)


def _cell(key: str, tree: xr.DataTree) -> list[Part]:
    """A cell, and what it says: here, since the tree is in memory and other workers are at work on theirs."""
    content = _netcdf(tree)
    return [Part(SUMMARIES, key, summary_of(tree, content)), Part(CELLS, key, content)]


def _netcdf(tree: xr.DataTree) -> bytes:
    """A tree as the bytes of its file, so that only the one who runs the sweep writes to the store."""
    return bytes(as_bytes(tree))
