"""The shape that every method has, and the methods by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import asdict, fields
from typing import Any, ClassVar, TypeVar

import torch

from bayesgc.correlated import ErrorRule
from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.inference.collapsed.singular import why_no_density
from bayesgc.inference.control import Control
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.records import Run
from bayesgc.inference.request import Request
from bayesgc.plugins import Registry, options_in
from bayesgc.task import linear_view
from bayesgc.validate import InputError


class Method(ABC):
    """A way to condition a prior on its fit criterion: a frozen dataclass of hyperparameters, and one call.

    ``name`` is what it is called, ``defaults`` what it aims at where nothing is asked for. ``errors`` is the rule for
    the error of a mean over its draws, which the result records; a `Run` that names another one has the last word.
    Methods that are ``exact`` condition on a training loss of exactly zero too. With ``shared_draws`` one set of draws
    serves several cells of a sweep. ``usual_evaluations`` is what the paper's tasks take, for forecasts.
    """

    name: ClassVar[str]
    defaults: ClassVar[Request] = Request()
    errors: ClassVar[ErrorRule] = ErrorRule.REPLICATES
    fewest_chains: ClassVar[int] = 1
    exact: ClassVar[bool] = False
    shared_draws: ClassVar[bool] = False
    usual_evaluations: ClassVar[float] = 1e6

    def needs(self, criterion: Criterion) -> str | None:
        """Why the method cannot condition on this, in one line; None where it can."""
        return None

    def for_noise(self) -> Method:
        """The same for data with noise, where the threshold is that of the noise: what was set by hand stays."""
        return self

    @abstractmethod
    def run(self, criterion: Criterion, request: Request, control: Control) -> Run:
        """Condition, until the request is met or the budget is spent."""


class CollapsedMethod(Method):
    """A method on the density that is left when a Gaussian last layer is integrated out."""

    exact = True

    def needs(self, criterion: Criterion) -> str | None:
        """Why there is no such density."""
        if linear_view(criterion.task) is None:
            return (
                f"`method={self.name}` integrates out a last layer that is Gaussian given linear measurements with "
                "squared error, and labels are not measured so; choose auto, splitting or rejection."
            )
        if criterion.collapsed is None:
            return (
                f"{self.name} needs an unnormalised factorisation with a last layer of Gaussians or a scale mixture; "
                "splitting and rejection condition any model at some eps > 0."
            )
        reason = why_no_density(criterion.array, criterion.collapsed, criterion.eps)
        return (
            None if reason is None else f"{self.name} cannot condition here: {reason}; use splitting at some eps > 0."
        )

    def target(self, criterion: Criterion, device: torch.device) -> CollapsedCriterion:
        """The density, to be computed on this device.

        Raises:
            InputError: where there is none.
        """
        if reason := self.needs(criterion):
            raise InputError(reason)
        assert criterion.collapsed is not None  # noqa: S101 - which `needs` has seen
        return CollapsedCriterion(criterion.array, criterion.collapsed, criterion.eps, device)


def _accepted(thing: Any, name: str) -> type[Method] | None:
    return thing if isinstance(thing, type) and issubclass(thing, Method) else None


METHODS = Registry[type[Method]]("method", "a subclass of bayesgc.Method", _accepted, ordered=True)
MethodClass = TypeVar("MethodClass", bound=type[Method])


def register_method(method: MethodClass) -> MethodClass:
    """Decorator: make a method available by its ``name``.

    Raises:
        InputError: where another module has registered a method of this name.
    """
    METHODS.register(method.name, method)
    return method


def method_named(value: Any) -> Method:
    """A method object, or the one that a name stands for, with options as in ``splitting:particles=200``.

    Raises:
        InputError: for an unknown name or option, listing the known ones, or for an object that is no method.
    """
    if isinstance(value, Method):
        return value
    if not isinstance(value, str):
        raise InputError(f"method is {value!r}; give one of {', '.join(METHODS)}, or a method object.")
    method, text = METHODS.find(value)
    return method(**options_in(METHODS.kind, value, text, method_options(method)))


def method_options(method: type[Method]) -> dict[str, Any]:
    """The hyperparameters that a name may be given with, and their defaults: numbers, texts, and None for a number."""
    every = fields(method)  # type: ignore[arg-type]
    return {each.name: each.default for each in every if isinstance(each.default, int | float | str | None)}


def hyperparameters(method: Method) -> dict[str, Any]:
    """The name and the hyperparameters of a method, for the record."""
    return {"name": method.name, **asdict(method)}  # type: ignore[call-overload]
