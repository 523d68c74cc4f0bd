"""How well missing cells are predicted: some observed cells are hidden from a second run, and then compared.

Whether Guess & Check is worth its time on a table cannot be seen from its own intervals. So column means, nearest rows
and least squares predict the same hidden cells beside it. Where the truth is known, the missing cells themselves tell,
and there is no second run.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int

from bayesgc.analysis.hidden import hidden_dataset
from bayesgc.inference import Control, Draws, Request
from bayesgc.inference.streams import Stream, generator
from bayesgc.settings import Settings
from bayesgc.task import ArrayTask, linear_view
from bayesgc.task.array.imputation import hidden_cells, observed_values, simple_predictions, spread_of, without
from bayesgc.task.asked import share_to_hide
from bayesgc.validate import InputError

SHARE = 0.25
"""The part of the time that is kept back for it."""
_LEAST = 2**15
"""Evaluations that the second run may take in any case; else as many as the first took."""
_HASTY = 0.1
"""The precision of a second run in haste: for splitting a quarter of the particles, which come down as much faster."""
_FEWEST = 5
"""Cells of which something can be told."""
_NOTHING = "the run has no posterior to compare"
_KEPT_BACK = f"; `hide=0` gives it the {SHARE:.0%} of the time that were kept for this"
_FEWEST_DRAWS = 100
"""Draws of the second run with which a mean and 90 % intervals are those of a posterior."""


def share_hidden(hide: float | str | None, settings: Settings) -> float:
    """The share of the observed cells that is to be hidden; 0 for none.

    Raises:
        InputError: for more than half of them, or a task without cells of measured values.
    """
    share = 0.0 if hide is None else share_to_hide(hide)
    array = linear_view(settings.task)
    if share and (array is None or not (array.noisy and array.observed_cells)):
        raise InputError("`hide` is for a table or an array with missing cells; leave it out.")
    return share


def kept_back(share: float, settings: Settings) -> float:
    """The part of the time that a second run needs, where there is to be one."""
    array = linear_view(settings.task)
    return SHARE if share and array is not None and array.truth is None else 0.0


def add_hidden(tree: xr.DataTree, settings: Settings, share: float, control: Control) -> None:
    """Put into a result what was found of hidden cells, or why nothing was: whatever that is, the result stands."""
    array, before = linear_view(settings.task), control.seconds
    if not share or array is None:
        return
    try:
        found = _found(tree, array, settings, share, control)
    except InputError as error:
        found = str(error)
    if isinstance(found, str):
        tree.attrs["reasons"] = _with(tree.attrs["reasons"], hidden=found)
    else:
        tree["hidden"] = xr.DataTree(found)
    seconds = {"total": control.seconds, "hidden": control.seconds - before}
    tree.attrs["seconds"] = _with(tree.attrs["seconds"], **seconds)
    tree.attrs["wall_time"] = control.seconds


def _found(tree: xr.DataTree, array: ArrayTask, settings: Settings, share: float, control: Control) -> xr.Dataset | str:
    if "posterior" not in tree.children or control.interrupted:
        idle = control.max_seconds is not None and not control.interrupted and array.truth is None
        return _NOTHING + (_KEPT_BACK if idle else "")
    if array.truth is not None:
        cells = np.setdiff1d(np.arange(array.measurements.entries), np.asarray(array.cells))
        posterior = tree["posterior"].to_dataset()
        matrices, loss = posterior["end_to_end"].values, posterior["train_loss"].values
        return _compared(array, array.in_units(array.truth), cells, matrices, loss, second=False, control=control)
    cells = hidden_cells(array, share, generator(settings.request.seed, Stream.HIDDEN, 0, torch.device("cpu")))
    if len(cells) < _FEWEST:
        return "too few cells are observed to hide any"
    fewer, spent = without(array, cells), int(tree.attrs["evaluations"])
    most = control.affordable(max(_LEAST, spent - settings.spent), spent)
    own = replace(control.part(), max_evaluations=most)
    # The threshold is that of all observed cells: one number, which a second search would take as long to find.
    criterion = replace(settings.criterion, task=fewer, check=own.check)
    run = settings.method.run(criterion, _in_haste(settings.request, tree, own), own) if most else None
    draws = None if run is None else run.posterior
    if run is None or draws is None or math.prod(draws.end_to_end.shape[:2]) < _FEWEST_DRAWS:
        return f"a run without them came to fewer than {_FEWEST_DRAWS} draws in {_left(own)}"
    matrices, loss = _kept(fewer, draws)
    found = _compared(fewer, observed_values(array), cells, matrices, loss, second=True, control=control)
    return found.assign_attrs(evaluations=run.evaluations)


def _in_haste(request: Request, tree: xr.DataTree, own: Control) -> Request:
    """What is asked of the second run: less where it has less time than the first took, so that it comes to an end."""
    first = json.loads(tree.attrs["seconds"])["sampling"]
    if own.max_seconds is None or own.max_seconds >= first:
        return request
    return replace(request, precision=max(_HASTY, request.precision or 0.0))


def _left(own: Control) -> str:
    """What the first run left of the budget."""
    if own.max_seconds is None:
        return "what the first left of `max_evaluations`"
    return f"the {own.max_seconds:.0f} s that the first left; raise `max_seconds`"


def _kept(
    task: ArrayTask, draws: Draws
) -> tuple[Float[np.ndarray, "chain draw *shape"], Float[np.ndarray, "chain draw"]]:
    matrices = task.in_units(draws.end_to_end.cpu().numpy().astype(np.float64))
    return matrices, draws.quantities["train_loss"].cpu().numpy()


def _compared(
    task: ArrayTask,
    known: Float[np.ndarray, "*shape"],
    cells: Int[np.ndarray, " cell"],
    matrices: Float[np.ndarray, "chain draw *shape"],
    loss: Float[np.ndarray, "chain draw"],
    *,
    second: bool,
    control: Control,
) -> xr.Dataset:
    """Posterior and simple means at the cells, of which ``known`` holds the values."""
    simple, absent = simple_predictions(task, control.out_of_time)
    scale = 1.0 if task.units is None else np.broadcast_to(task.units.scale, task.shape).ravel()[cells]
    return hidden_dataset(
        cells,
        np.unravel_index(cells, task.shape)[0],
        known.ravel()[cells],
        matrices.reshape(-1, known.size)[:, cells],
        np.sqrt(np.maximum(loss.reshape(-1, 1), 0.0)) * scale,
        {name: array.ravel()[cells] for name, array in simple.items()},
        spread_of(task).ravel()[cells],
        second=second,
        absent=absent,
    )


def _with(text: str, **entries: Any) -> str:
    return json.dumps(json.loads(text) | entries)
