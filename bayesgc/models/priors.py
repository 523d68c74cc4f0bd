"""Priors over one weight matrix: functions (rows, cols) → Pyro distribution, kept in a registry by name."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist

from bayesgc.validate import InputError, one_of, real_in

Prior = Callable[[int, int], dist.Distribution]
PriorFactory = Callable[..., dist.Distribution]

Scaling = Callable[[int, int], float]
"""From the rows and columns of a matrix to the scale of its entries."""

SCALINGS: dict[str, Scaling] = {
    "fan-out": lambda rows, cols: rows**-0.5,
    "fan-in": lambda rows, cols: cols**-0.5,
    "unit": lambda rows, cols: 1.0,
}
SCALING_SUMMARIES = {
    "fan-out": "entries of a weight matrix divided by the root of its rows, as in the paper",
    "fan-in": "entries divided by the root of the columns",
    "unit": "entries as they are",
}


@dataclass(frozen=True)
class RegisteredPrior:
    """A prior that can be named; ``scaled`` ones take ``scale``, the factor that the model's scaling gives a layer."""

    name: str
    factory: PriorFactory
    scaled: bool

    @property
    def summary(self) -> str:
        """The first line of the factory's docstring."""
        return (inspect.getdoc(self.factory) or "").split("\n")[0]

    @property
    def options(self) -> list[str]:
        """The names of the keyword options a user may set."""
        keywords = [p.name for p in inspect.signature(self.factory).parameters.values() if p.kind is p.KEYWORD_ONLY]
        return [name for name in keywords if name != "scale"]


PRIORS: dict[str, RegisteredPrior] = {}


def register_prior(name: str, *, scaled: bool = False) -> Callable[[PriorFactory], PriorFactory]:
    """Decorator: make a function (rows, cols, *, options) → distribution available by ``name``."""

    def decorate(factory: PriorFactory) -> PriorFactory:
        PRIORS[name] = RegisteredPrior(name, factory, scaled)
        return factory

    return decorate


@register_prior("gaussian", scaled=True)
def gaussian(rows: int, cols: int, *, scale: float, mean: float = 0.0) -> dist.Distribution:
    """Independent entries scale·(mean + N(0, 1))."""
    return dist.Normal(scale * mean, scale).expand([rows, cols]).to_event(2)


@register_prior("uniform", scaled=True)
def uniform(rows: int, cols: int, *, scale: float, mean: float = 0.0) -> dist.Distribution:
    """Independent entries scale·(mean + U(−1, 1)); not rescaled to unit variance, as in the paper."""
    return dist.Uniform(scale * (mean - 1), scale * (mean + 1)).expand([rows, cols]).to_event(2)


def prior_named(spec: str, scaling: str | Scaling) -> Prior:
    """The prior that a specification names, such as ``"gaussian"`` or ``"gaussian:mean=0.5"``.

    Args:
        spec: a registered name, then options as ``:key=value,key=value``; the values are numbers.
        scaling: the rule for the scale of each layer, or its name, for priors that take one.

    Raises:
        InputError: for an unknown name or option, or a value that is not a finite number.
    """
    name, _, text = spec.partition(":")
    prior = PRIORS[one_of("prior", name, PRIORS)]
    options = _options(spec, text, prior.options)
    rule = SCALINGS[one_of("scaling", scaling, SCALINGS)] if isinstance(scaling, str) else scaling
    if not prior.scaled:
        return functools.partial(prior.factory, **options)
    return lambda rows, cols: prior.factory(rows, cols, scale=rule(rows, cols), **options)


def _options(spec: str, text: str, allowed: list[str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for item in filter(None, text.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"prior is {spec!r}; options are written key=value, separated by commas.")
        options[one_of(f"option of prior {spec!r}", key, allowed)] = real_in(f"prior option {key}", value, -1e6, 1e6)
    return options
