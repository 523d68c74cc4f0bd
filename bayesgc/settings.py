"""The checked arguments of one inference, and what they are in plain values for the record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch

from bayesgc.inference import (
    METHODS,
    SGD,
    Control,
    Criterion,
    GradientDescent,
    MaximumAPosteriori,
    Method,
    Request,
    device_named,
    dtype_named,
    method_named,
)
from bayesgc.inference.collapsed.noise import Likeliest, likeliest_threshold
from bayesgc.inference.methods import hyperparameters
from bayesgc.models import Model, as_model, as_sites, describe
from bayesgc.models.factorization.collapse import collapse, why_not_collapsible
from bayesgc.models.layout import Program
from bayesgc.task import ArrayTask, Task, labelled_view, linear_view
from bayesgc.task.array.feasibility import resolution
from bayesgc.task.asked import EVIDENCE
from bayesgc.validate import InputError, integer_in, positive_integer, real_in


@dataclass(frozen=True)
class Settings:
    """The checked arguments of one call.

    ``spent`` evaluations went into finding the threshold, which is not ``settled`` where the budget ended before.
    ``given`` are arguments as they were given, of which something else is made here.
    """

    model: Model
    task: Task
    method: Method
    gd: GradientDescent | SGD | None
    mode: MaximumAPosteriori | bool | None
    criterion: Criterion
    request: Request
    spent: int = 0
    settled: bool = True
    given: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def checked(
        cls,
        model: Model | Program,
        task: Task,
        eps: float | str | None,
        method: str | Method,
        gd: GradientDescent | SGD | bool,
        mode: MaximumAPosteriori | bool | None,
        device: str,
        dtype: str,
        request: Request,
    ) -> Settings:
        """Check everything that needs no draw.

        Raises:
            InputError: for an argument that does not fit, or a model that breaks its contract.
        """
        check_task(task, model)
        model, array = as_model(model), linear_view(task)
        _check_sides(array)
        place = device_named(device)
        number = dtype_named(dtype, place)
        chosen = method_named(method)
        collapsed = None if array is None else collapse(model, array.shape, weights=request.weights)
        whitened = model.whiten(task.domain, weights=request.weights) if collapsed is None else collapsed.whitened
        found_later = array is not None and eps == EVIDENCE
        threshold = array.share_of_zero(1.0, eps) if array and found_later else task.threshold(eps)
        if array is not None and threshold == 0:
            _check_exact(chosen, model, array)
        elif request.chains is not None:
            integer_in("chains", request.chains, chosen.fewest_chains)
        descent = _descent_of(gd, array)
        if isinstance(descent, SGD) and as_sites(whitened) is not None:
            descent = replace(descent, init="prior")  # a program knows no fan-in
        _check_normalization(model, task)
        if not isinstance(mode, MaximumAPosteriori | bool | None):
            raise InputError(f"map is {mode!r}; give True, False, None or a MaximumAPosteriori.")
        resolved = None
        if array is not None:
            if number != torch.float64:
                array.check_single()
            resolved = resolution(array, normalize=model.normalize)
        criterion = Criterion(task, whitened, threshold, place, number, collapsed, resolved)
        if reason := chosen.needs(criterion):
            raise InputError(reason)
        numbers = task.kept_numbers + (criterion.latent_size if request.weights else 0)
        bounded = request.bounded(numbers)
        return cls(model, task, chosen, descent, mode, criterion, bounded, given={"eps": eps})

    def at(self, found: Likeliest) -> Settings:
        """The same with the threshold that the data suggest."""
        criterion = replace(self.criterion, eps=found.eps)
        return replace(self, criterion=criterion, spent=found.evaluations, settled=found.complete)

    def at_evidence(self, eps: float | str | None, control: Control, *, noise: bool = True) -> Settings:
        """The same at the threshold that the data suggest, where that was asked for."""
        if eps != EVIDENCE:
            return self
        own = control.part()
        criterion = replace(self.criterion, check=own.check)
        return self.at(likeliest_threshold(criterion, self.request.seed, own, noise=noise))

    def configuration(self) -> dict[str, Any]:
        """All that makes the result what it is, as plain values."""
        gd = self.gd
        if gd is not None:
            gd = (
                gd.resolved(self.task.shape[0]) if isinstance(gd, SGD) else gd.resolved_for(self.model, self.task.shape)
            )
        return {
            "task": self.task.facts,
            "model": describe(self.model),
            "method": hyperparameters(self.method),
            "gd": None if gd is None else asdict(gd),
            "map": asdict(self.mode) if isinstance(self.mode, MaximumAPosteriori) else self.mode,
            "eps": self.criterion.eps,
            "settled": self.settled,
            "given": {name: value for name, value in self.given.items() if value is not None},
            **asdict(self.request),
            "device": str(self.criterion.device),
            "dtype": str(self.criterion.dtype).removeprefix("torch."),
        }

    def filled(self, ran: str) -> dict[str, Any]:
        """What was asked for, with the defaults of the method that ran, which ``auto`` decides."""
        request = self.request.filled(METHODS.get(ran, type(self.method)).defaults)
        return {"precision": request.relative_error, "chains": request.chains, "draws": request.draws}


def usual_for(task: Task, eps: float | str | None, method: str | Method) -> tuple[float | str | None, str | Method]:
    """Threshold and method where no threshold is given: data with noise suggest their own, for a method that suits."""
    if eps is not None or not task.noisy:
        return eps, method
    return EVIDENCE, method_named(method).for_noise()


def request_of(seed: int, precision: float | None, chains: int | None, draws: int | None, weights: bool) -> Request:
    """What is asked of the method, checked."""
    return Request(
        seed=integer_in("seed", seed, 0),
        precision=None if precision is None else real_in("precision", precision, 0, 1, open_low=True),
        chains=None if chains is None else positive_integer("chains", chains),
        draws=None if draws is None else positive_integer("draws", draws),
        weights=bool(weights),
    )


def check_task(task: object, model: object = None) -> None:
    """Raise unless ``task`` is a Task; a ``model`` that is one stands in its place.

    Raises:
        InputError: where it is not.
    """
    if isinstance(model, Task):
        raise InputError("model is a task; the model comes first, then the task: infer(model, task).")
    if not isinstance(task, Task):
        raise InputError(f"task is {task!r}; make one with sensing(), completion(), classification() or load().")


def _check_normalization(model: Model, task: Task) -> None:
    """Refuse to divide outputs by the size of the weights where a fit counts labels alone."""
    name, examples = getattr(model, "normalize_weights", None), labelled_view(task)
    if name is not None and examples is not None and examples.criterion.name == "errors":
        raise InputError(
            f"normalize_weights is {name!r}, which divides a network's outputs by a positive number and so changes no "
            "label; the fit is 'errors', which sees labels alone: leave it out, or take another fit."
        )


def _check_sides(task: ArrayTask | None) -> None:
    """Refuse a table whose missing cells nothing can predict."""
    if task is None or not task.noisy or not task.observed_cells or task.truth is not None:
        return
    if 1 in task.shape and len(task.shape) == 2:
        only, others = ("column", "rows") if task.shape[1] == 1 else ("row", "columns")
        raise InputError(
            f"The table has one {only} of numbers, so its {others} share nothing by which a missing cell could be "
            f"predicted; give it two {only}s at least."
        )


def _check_exact(method: Method, model: Model, task: ArrayTask) -> None:
    """Refuse eps = 0 where no method can condition on an exact fit."""
    if (reason := _why_not_exact(method, model, task)) is not None:
        raise InputError(
            f"eps is 0, which asks for exact fits, and {reason}. "
            f"A small threshold here is {1e-4 * task.zero_train_loss:.2g} ('0.01%' of the zero predictor's loss)."
        )


def _why_not_exact(method: Method, model: Model, task: ArrayTask) -> str | None:
    if not method.exact:
        able = " or ".join(name for name, each in METHODS.items() if each.exact)
        return f"{method.name} needs draws that fit, of which none fits exactly; take {able}"
    if model.normalize:
        return "of a normalised model none can be drawn; take `normalize=False`"
    reason = why_not_collapsible(model, task.shape)
    return None if reason is None else f"of this model none can be drawn: {reason}"


def _descent_of(gd: GradientDescent | SGD | bool, array: ArrayTask | None) -> GradientDescent | SGD | None:
    """The descent that is asked for, which must suit the task: None for none."""
    kind = SGD if array is None else GradientDescent
    if gd is True:
        return kind()
    if gd is False or gd is None:
        return None
    if not isinstance(gd, kind):
        raise InputError(f"gd is {gd!r}; for this task give True, False or a {kind.__name__}.")
    return gd
