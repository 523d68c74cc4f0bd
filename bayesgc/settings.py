"""The checked arguments of one inference, and what they are in plain values for the record."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch

from bayesgc.inference import (
    METHODS,
    NUTS,
    Criterion,
    GradientDescent,
    Importance,
    MaximumAPosteriori,
    Method,
    Request,
    device_named,
    dtype_named,
    method_named,
)
from bayesgc.inference.feasibility import resolution
from bayesgc.inference.methods import hyperparameters
from bayesgc.inference.noise import Likeliest
from bayesgc.models import Factorization, Model, ProgramModel, as_model
from bayesgc.models.collapse import collapse, why_not_collapsible
from bayesgc.models.layout import Program
from bayesgc.models.priors import label, listed_priors
from bayesgc.task import DenseMeasurements, Task
from bayesgc.validate import InputError, check_range, integer_in, positive_integer, real_in, real_or_share

EVIDENCE = "evidence"
"""The ε that noisy data suggest themselves."""


@dataclass(frozen=True)
class Settings:
    """The checked arguments of one call.

    ``spent`` evaluations went into finding the threshold, which is not ``settled`` where the budget ended before.
    """

    model: Model
    task: Task
    method: Method
    gd: GradientDescent | None
    mode: MaximumAPosteriori | bool | None
    criterion: Criterion
    request: Request
    spent: int = 0
    settled: bool = True

    @classmethod
    def checked(
        cls,
        model: Model | Program,
        task: Task,
        eps: float | str,
        method: str | Method,
        gd: GradientDescent | bool,
        mode: MaximumAPosteriori | bool | None,
        device: str,
        dtype: str,
        request: Request,
    ) -> Settings:
        """Check everything that needs no draw.

        Raises:
            InputError: for an argument that does not fit, or a model that breaks its contract.
        """
        check_task(task)
        model = as_model(model)
        place = device_named(device)
        chosen = method_named(method)
        collapsed = collapse(model, task.shape, weights=request.weights)
        whitened = model.whiten(task.shape, weights=request.weights) if collapsed is None else collapsed.whitened
        threshold = _share_of_zero(1.0, eps, task) if eps == EVIDENCE else threshold_of(eps, task)
        if threshold == 0:
            _check_exact(chosen, model, task)
        elif request.chains is not None:
            integer_in("chains", request.chains, getattr(chosen, "fewest_chains", 1))
        descent = GradientDescent() if gd is True else gd or None
        if descent is not None and not isinstance(descent, GradientDescent):
            raise InputError(f"gd is {gd!r}; give True, False or a GradientDescent.")
        if not isinstance(mode, MaximumAPosteriori | bool | None):
            raise InputError(f"map is {mode!r}; give True, False, None or a MaximumAPosteriori.")
        number = dtype_named(dtype, place)
        _check_range(task, number)
        resolved = resolution(task, normalize=model.normalize)
        criterion = Criterion(task, whitened, threshold, place, number, collapsed, resolved)
        # An array, its singular values and the other quantities.
        numbers = math.prod(task.shape) + min(task.shape) + 10 + (criterion.latent_size if request.weights else 0)
        return cls(model, task, chosen, descent, mode, criterion, request.bounded(numbers))

    def at(self, found: Likeliest) -> Settings:
        """The same with the threshold that the data suggest."""
        criterion = replace(self.criterion, eps=found.eps)
        return replace(self, criterion=criterion, spent=found.evaluations, settled=found.complete)

    def configuration(self) -> dict[str, Any]:
        """All that makes the result what it is, as plain values."""
        gd = self.gd
        if gd is not None:
            if isinstance(self.model, Factorization):
                gd = gd.resolved(self.model, self.task.shape)
            else:
                gd = gd.resolved_for_program()
        return {
            "task": {**self.task.description, "kind": self.task.kind, "shape": list(self.task.shape)}
            | {"measurements": self.task.measurements.count},
            "model": _describe(self.model),
            "method": hyperparameters(self.method),
            "gd": None if gd is None else asdict(gd),
            "map": asdict(self.mode) if isinstance(self.mode, MaximumAPosteriori) else self.mode,
            "eps": self.criterion.eps,
            **asdict(self.request),
            "device": str(self.criterion.device),
            "dtype": str(self.criterion.dtype).removeprefix("torch."),
        }

    def filled(self, ran: str) -> dict[str, Any]:
        """What was asked for, with the defaults of the method that ran, which ``auto`` decides."""
        request = self.request.filled(getattr(METHODS.get(ran, self.method), "defaults", Request()))
        return {"precision": request.relative_error, "chains": request.chains, "draws": request.draws}


def request_of(seed: int, precision: float | None, chains: int | None, draws: int | None, weights: bool) -> Request:
    """What is asked of the method, checked."""
    return Request(
        seed=integer_in("seed", seed, 0),
        precision=None if precision is None else real_in("precision", precision, 0, 1, open_low=True),
        chains=None if chains is None else positive_integer("chains", chains),
        draws=None if draws is None else positive_integer("draws", draws),
        weights=bool(weights),
    )


def threshold_of(eps: float | str, task: Task) -> float:
    """ε as a number; a percentage is of the zero predictor's training loss."""
    try:
        value, relative = real_or_share("eps", eps)
    except InputError:
        raise InputError(
            f"eps is {eps!r}; it must be a training loss above 0, a share of the zero predictor's such as '5%', "
            f"or {EVIDENCE!r}."
        ) from None
    return _share_of_zero(value, eps, task) if relative else value


def _share_of_zero(share: float, eps: float | str, task: Task) -> float:
    if task.zero_train_loss == 0:
        raise InputError(
            f"eps is {eps!r}, which needs data other than zero, and every target is 0; give a training loss above 0."
        )
    return share * task.zero_train_loss


def check_task(task: object) -> None:
    """Refuse what is no task."""
    if not isinstance(task, Task):
        raise InputError(f"task is {task!r}; make one with sensing(), completion() or load().")


def _check_range(task: Task, dtype: torch.dtype) -> None:
    """Refuse numbers whose squares single precision cannot hold; for double precision the task itself has looked."""
    if dtype == torch.float64:
        return
    parts = {"y": task.targets, "truth": task.truth}
    if isinstance(task.measurements, DenseMeasurements):
        parts["A"] = task.measurements.matrix
    for name, numbers in parts.items():
        if numbers is not None:
            largest = float(np.abs(numbers).max(initial=0.0))
            check_range(name, largest, 1e-15, 1e15, ", or compute in double precision (--dtype float64)")


def _check_exact(method: Method, model: Model, task: Task) -> None:
    """Refuse eps = 0 where no method can condition on an exact fit."""
    reason = why_not_collapsible(model, task.shape)
    if method.name not in ("auto", Importance.name, NUTS.name):
        reason = f"{method.name} needs draws that fit, and none fits exactly"
    if reason is not None:
        raise InputError(
            f"eps is 0, which takes a collapsed model and --method importance or nuts, but {reason}. "
            f"A small threshold here is {1e-4 * task.zero_train_loss:.2g} ('0.01%' of the zero predictor's loss)."
        )


def _describe(model: Model) -> dict[str, Any]:
    if isinstance(model, Factorization):
        values = asdict(model)
        values["prior"] = label(model.prior)
        if any(callable(each) for each in listed_priors(model.prior)):
            values["prior_given"] = "in Python"  # and may be called as one that is registered
        if isinstance(model.width, tuple):
            values["width"] = list(model.width)
        return {"family": model.family, **values}
    name = model.label if isinstance(model, ProgramModel) else type(model).__name__
    return {"family": "program", "name": name, "normalize": model.normalize}
