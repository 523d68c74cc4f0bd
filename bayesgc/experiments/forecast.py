"""How long a sweep may take: what its jobs do, times how fast this machine does a little of the same."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from bayesgc.experiments.cell import Cell
from bayesgc.inference import METHODS, Automatic, Control, Criterion, GradientDescent, Importance, Rejection, Splitting
from bayesgc.inference.control import one_thread_each
from bayesgc.inference.streams import Stream, generator
from bayesgc.models import Factorization, Model, factorised
from bayesgc.models.factorization.collapse import why_not_collapsible
from bayesgc.models.program import trainable
from bayesgc.task import ArrayTask, LabelledTask, labelled_view, linear_view, sensing

_OVERHEAD, _UNKNOWN = 0.8, 60.0
"""Seconds of a cell apart from its draws, for the prior, reference points and file; and of one of an unknown kind."""
_OF_EXAMPLES = {Splitting: 4e5, Rejection: 1e6}
"""Evaluations for a few dozen labelled examples, at the precision of sweeps."""
_EPOCHS = 20
"""The share of the epochs of stochastic gradient descent, one in so many, that shows how long all of them take."""
_DRAWS, _STEPS = 2048, 20
_TRIAL = GradientDescent(steps=2000, restarts=8)
"""The steps and restarts of the descent that shows how soon one ends."""


def seconds_of(cells: list[Cell]) -> dict[str, float]:
    """The seconds on one core of each part that cells need, by its key: rough, a factor of two either way."""
    evaluation: Callable[..., float] = functools.cache(_seconds_an_evaluation)
    step: Callable[..., float] = functools.cache(_seconds_a_step)
    found: dict[str, float] = {}
    drawn: set[str | None] = set()
    lengths: dict[tuple[Factorization, tuple[int, ...], GradientDescent], float] = {}
    for cell in cells:
        options = cell.options
        task = options.make_task()
        model = options.make_model(task)
        if (examples := labelled_view(task)) is not None:
            found[cell.key] = _OVERHEAD + _seconds_of_examples(cell, model, examples)
            continue
        array = linear_view(task)
        if array is None:
            found[cell.key] = _UNKNOWN
            continue
        if cell.key not in found:
            found[cell.key] = _OVERHEAD
            if cell.draws_key not in drawn:  # cells on the same draws cost little more than one of them
                found[cell.key] += _evaluations(cell, model, task.shape) * evaluation(model, task.shape)
            drawn |= {cell.draws_key} - {None}
        method = options.make_descent()
        layered = factorised(model)
        if method is not None and layered is not None and cell.descent_key not in found:
            method = method.resolved(layered, task.shape)
            kind = (layered, task.shape, method)
            if kind not in lengths:
                lengths[kind] = _steps_taken(layered, array, method)
            rows = method.restarts * len(cell.task_seeds)
            found[str(cell.descent_key)] = lengths[kind] * step(layered, task.shape, method.optimizer, rows)
    return found


def _seconds_of_examples(cell: Cell, model: Model, task: LabelledTask) -> float:
    """Conditioning a network on labelled examples, and all epochs of its gradient descent, which may end before."""
    options, whitened = cell.options, model.whiten(task.domain)
    source, cpu = generator(0, Stream.PRIOR, 0, torch.device("cpu")), torch.device("cpu")
    count = max(64, min(_DRAWS, 2**21 // whitened.size))
    normals = torch.randn(whitened.size, count, generator=source)
    most = _OF_EXAMPLES.get(METHODS.find(options.method)[0], _OF_EXAMPLES[Splitting])
    evaluations = min(most, options.max_evaluations or math.inf)
    seconds = 1.5 * _timed(lambda: task.score(whitened.vectors(normals))) / count * evaluations
    method = options.make_training()
    if method is None or trainable(model) is None:
        return seconds
    method = method.resolved(task.inputs.count)
    trial = replace(method, epochs=math.ceil((method.epochs or 1) / _EPOCHS), tol=0.0)
    criterion = Criterion(task, whitened, task.threshold(options.settings(task)["eps"]), cpu, torch.float32)
    return seconds + _EPOCHS * _timed(lambda: trial.run(model, criterion, 0, Control()))


def _evaluations(cell: Cell, model: Model, shape: tuple[int, ...]) -> float:
    method = METHODS.find(cell.options.method)[0]
    if method is Automatic:
        method = Splitting if why_not_collapsible(model, shape) else Importance
    own = Splitting.defaults.relative_error
    coarser = (own / (cell.options.precision or own)) ** 2 if method is Splitting else 1.0
    return min(method.usual_evaluations * coarser, cell.options.max_evaluations or math.inf)


def _steps_taken(model: Factorization, task: ArrayTask, method: GradientDescent) -> float:
    """The steps until descent is at its goal, from a short one and from how fast its losses fall where it is not there.

    Losses that do not fall by then may or may not do so later: then all the steps that are allowed.
    """
    most = float(method.steps or 0)
    trial = replace(
        method, steps=min(int(most), int(_TRIAL.steps or 0)), restarts=min(method.restarts, _TRIAL.restarts)
    )
    criterion = Criterion(task, model.whiten(task.shape), 0.0, torch.device("cpu"), torch.float32)
    made = trial.run(model, criterion, 0, Control())
    if made.steps.max() < (trial.steps or 0) or not made.trace:
        return float(made.steps.max())
    goal = method.tol * task.zero_train_loss
    steps, losses = np.array(list(made.trace)), np.median(np.stack(list(made.trace.values())), axis=1)
    half = int(np.searchsorted(steps, steps[-1] / 2))
    if goal == 0 or not 0 < losses[-1] < losses[half]:
        return most
    left = max(0.0, math.log(losses[-1] / goal)) * (steps[-1] - steps[half]) / math.log(losses[half] / losses[-1])
    return min(most, steps[-1] + left)


def _seconds_an_evaluation(model: Model, shape: tuple[int, ...]) -> float:
    """The time to draw and to multiply once, and half as much again for the moves around it."""
    whitened = model.whiten(shape)
    source = generator(0, Stream.PRIOR, 0, torch.device("cpu"))
    count = max(64, min(_DRAWS, 2**21 // whitened.size))

    def work() -> None:
        whitened.vectors(torch.randn(whitened.size, count, generator=source))

    return 1.5 * _timed(work) / count


def _seconds_a_step(model: Factorization, shape: tuple[int, ...], optimizer: str, rows: int) -> float:
    method = GradientDescent(optimizer=optimizer, restarts=rows, steps=_STEPS, tol=0.0)
    task = sensing(shape=shape)
    criterion = Criterion(task, model.whiten(shape), 0.0, torch.device("cpu"), torch.float32)
    return _timed(lambda: method.run(model, criterion, 0, Control())) / _STEPS


def _timed(work: Callable[[], object]) -> float:
    """Seconds of a core that the better of two runs takes, whatever else the machine does."""
    with one_thread_each():
        best = math.inf
        for _ in range(2):
            began = time.thread_time()
            work()
            best = min(best, time.thread_time() - began)
    return best
