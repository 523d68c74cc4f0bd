"""Priors over one weight matrix: functions (rows, cols) → Pyro distribution.

A prior is registered by name, offered by an installed package as an entry point of the group ``bayesgc.priors``, or
named where it lies, as ``package.module:function`` or ``file.py:function``. The shipped ones are in `shipped`.
"""

from __future__ import annotations

import functools
import inspect
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin

from bayesgc import plugins
from bayesgc.models.promotion import promoting
from bayesgc.validate import InputError, one_of

Prior = Callable[[int, int], dist.Distribution]
PriorFactory = Callable[..., dist.Distribution]

Scaling = Callable[[int, int], float]
"""From the rows and columns of a matrix to the scale of its entries."""

SCALINGS: dict[str, Scaling] = {
    "fan-out": lambda rows, cols: rows**-0.5,
    "fan-in": lambda rows, cols: cols**-0.5,
    "kaiming": lambda rows, cols: (2 / cols) ** 0.5,
    "unit": lambda rows, cols: 1.0,
}
SCALING_SUMMARIES = {
    "fan-out": "entries of a weight matrix divided by the root of its rows, as in the paper",
    "fan-in": "entries divided by the root of the columns",
    "kaiming": "entries divided by the root of half the columns (He et al. 2015)",
    "unit": "entries as they are",
}
_BY_NAME = inspect.Parameter.POSITIONAL_OR_KEYWORD


@dataclass(frozen=True)
class RegisteredPrior:
    """A prior that can be named; ``scaled`` ones take ``scale``, the factor that the model's scaling gives a layer."""

    name: str
    factory: PriorFactory
    scaled: bool

    @property
    def summary(self) -> str:
        """The first line of the factory's docstring."""
        return plugins.summary(self.factory)

    @property
    def options(self) -> dict[str, Any]:
        """The keyword options a user may set, with their defaults; ``inspect.Parameter.empty`` for none."""
        found = list(inspect.signature(self.factory).parameters.values())[2:]
        keywords = {each.name: each.default for each in found if each.kind in (each.KEYWORD_ONLY, _BY_NAME)}
        return {name: default for name, default in keywords.items() if not (self.scaled and name == "scale")}


def _accepted(factory: Any, name: str) -> RegisteredPrior | None:
    """The registration of a function by its own decorator; without one, a prior that takes no scale from the model."""
    if not callable(factory) or isinstance(factory, type):
        return None
    own = (prior for prior in PRIORS.values() if prior.factory is factory)
    return next(own, RegisteredPrior(name, factory, scaled=False))


PRIORS = plugins.Registry[RegisteredPrior](
    "prior", "a function (rows, cols) → Pyro distribution", _accepted, lambda prior: prior.factory
)


def register_prior(name: str, *, scaled: bool = False) -> Callable[[PriorFactory], PriorFactory]:
    """Decorator: make a function (rows, cols, *, options) → distribution available by ``name``.

    Raises:
        InputError: where another module has registered a prior of this name; one's own may be registered anew.
    """

    def decorate(factory: PriorFactory) -> PriorFactory:
        PRIORS.register(name, RegisteredPrior(name, factory, scaled))
        return factory

    return decorate


@dataclass(frozen=True)
class LayerPrior:
    """The prior of one layer: what makes its distribution, and what messages call it.

    ``trusted`` ones are the package's own, whose draws need no look.
    """

    label: str
    make: Prior
    trusted: bool = False

    def __call__(self, rows: int, cols: int, layer: str = "a layer") -> dist.Distribution:
        """The distribution over a matrix, as one event.

        Raises:
            InputError: where the prior fails, or gives something else than finite matrices of this shape.
        """
        who = f"prior {self.label}"
        with plugins.blame(f"{who}, asked for {layer} of shape ({rows}, {cols}),"):
            law = self.make(rows, cols)
        if not isinstance(law, TorchDistributionMixin):
            raise InputError(
                f"{who} gave {_in_brief(law)} for {layer}; it must give a Pyro distribution{_instead(law)}."
            )
        if tuple(law.shape()) != (rows, cols):
            hint = "; .expand([rows, cols]) makes one of equal entries" if not law.shape() else ""
            raise InputError(f"{who} gave {layer} the shape {tuple(law.shape())}; the layer is {(rows, cols)}{hint}.")
        if law.batch_shape:
            law = law.to_event(len(law.batch_shape))
        if not self.trusted and rows * cols <= _LOOKED_AT:
            self._look(law, layer)
        return law

    def _look(self, law: dist.Distribution, layer: str) -> None:
        with plugins.blame(f"prior {self.label}, drawing {layer},"), torch.random.fork_rng(devices=[]):
            value = promoting(law.sample)()
        if tuple(value.shape) != tuple(law.shape()):
            raise InputError(f"prior {self.label} drew {layer} with the shape {tuple(value.shape)}.")
        if not value.isfinite().all():
            self._look_for_finite(law, layer)

    def _look_for_finite(self, law: dist.Distribution, layer: str) -> None:
        """One draw that is not finite may be a rare one."""
        with plugins.blame(f"prior {self.label}, drawing {layer},"), torch.random.fork_rng(devices=[]):
            if not any(promoting(law.sample)().isfinite().all() for _ in range(_LOOKS)):
                raise InputError(f"prior {self.label} drew {layer} with entries that are not finite, {_LOOKS} times.")


def _in_brief(value: object) -> str:
    """An object in a message: an array by its shape, anything else in a few signs."""
    shape = getattr(value, "shape", None)
    return f"a {type(value).__name__} of shape {tuple(shape)}" if isinstance(shape, tuple) else _BRIEF.repr(value)


def _instead(value: object) -> str:
    """What somebody may have meant who gave numbers."""
    return ", not a draw of one" if hasattr(value, "shape") else ""


_BRIEF = reprlib.Repr()
_BRIEF.maxlist, _BRIEF.maxother = 2, 60
_LOOKED_AT = 10_000
"""The largest matrix that is drawn to see what a prior gives."""
_LOOKS = 1000
"""Draws among which one must be finite."""


def prior_named(spec: str, scaling: str | Scaling) -> LayerPrior:
    """The prior that a specification names.

    Args:
        spec: ``name``, ``file.py:function`` or ``package.module:function``, then options as ``:key=value,key=value``.
        scaling: the rule for the scale of each layer, or its name, for priors that take one.

    Raises:
        InputError: for an unknown name or option, or a value of the wrong kind.
    """
    rule = SCALINGS[one_of("scaling", scaling, SCALINGS)] if isinstance(scaling, str) else scaling
    prior, text = PRIORS.find(spec)
    options = plugins.options_in(PRIORS.kind, spec, text, prior.options)
    shipped = prior.factory.__module__ == "bayesgc.models.priors.shipped"
    if not prior.scaled:
        return LayerPrior(repr(spec), functools.partial(prior.factory, **options), shipped)
    return LayerPrior(
        repr(spec), lambda rows, cols: prior.factory(rows, cols, scale=rule(rows, cols), **options), shipped
    )


def is_scaled(spec: str) -> bool:
    """Whether any prior in a specification, or in a list by layer, takes its scale from the model.

    Raises:
        InputError: for an unknown name.
    """
    return any(PRIORS.find(each)[0].scaled for each in plugins.listed(spec) if isinstance(each, str))


def layer_prior(prior: Any, scaling: str | Scaling) -> LayerPrior:
    """A prior as a model takes it: a specification, or a function whose distribution is the final one."""
    if isinstance(prior, str):
        return prior_named(prior, scaling)
    if not callable(prior) or isinstance(prior, type):
        raise InputError(f"prior is {prior!r}; give a name or a function (rows, cols) → Pyro distribution.")
    return prior if isinstance(prior, LayerPrior) else LayerPrior(label(prior), prior)


def hyperparameters(model: Any, but: Sequence[str] = ()) -> dict[str, Any]:
    """The fields of a model of weight matrices as plain values: a prior by its label, widths as a list."""
    values = {each.name: getattr(model, each.name) for each in fields(model) if each.name not in but}
    values["prior"] = label(model.prior)
    if any(callable(each) for each in given_priors(model.prior)):
        values["prior_given"] = "in Python"  # and may be called as one that is registered
    if values.get("normalize_weights", "") is None:
        del values["normalize_weights"]
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def label(prior: Any) -> str:
    """What to call a prior that may be a function, or a list for the layers."""
    if isinstance(prior, tuple):
        return ",".join("..." if each is ... else label(each) for each in prior)
    if isinstance(prior, Mapping):
        return ";".join(f"{pattern}={label(each)}" for pattern, each in prior.items())
    return prior if isinstance(prior, str) else getattr(prior, "__name__", type(prior).__name__)


def each_layer(prior: Any, names: Sequence[str]) -> list[Any]:
    """The prior of each layer from one for all or a list; in a list ``...`` repeats the one before it as needed.

    Raises:
        InputError: where the list is not as long as the layers are many, or ``...`` stands first or twice.
    """
    listed = listed_priors(prior)
    if listed[0] is ... or listed.count(...) > 1:
        raise InputError(f"prior is {prior!r}; '...' repeats the prior before it, and may stand in a list once.")
    if len(listed) == 1:
        return listed * len(names)
    if ... in listed:
        place, missing = listed.index(...), len(names) - len(listed) + 1
        listed[place : place + 1] = [listed[place - 1]] * max(missing, 0)
    if len(listed) != len(names):
        raise InputError(
            f"prior is {prior!r}, which lists {len(listed)} layers; the model has {len(names)}: {', '.join(names)}."
        )
    return listed


def by_pattern(prior: Any) -> dict[str, str] | None:
    """The priors in a text such as ``conv*.weight=uniform;*=student-t:df=4`` by pattern; None for another text."""
    return plugins.by_pattern(PRIORS.kind, prior) if isinstance(prior, str) else None


def given_priors(prior: Any) -> list[Any]:
    """All priors in one for all layers, a list by layer, or a mapping by pattern."""
    patterns = prior if isinstance(prior, Mapping) else by_pattern(prior)
    listed = listed_priors(prior) if patterns is None else list(patterns.values())
    return [each for each in listed if each is not ...]


def listed_priors(prior: Any) -> list[Any]:
    """The priors of one for all layers, or of a list by layer: a tuple, or a text with commas."""
    if isinstance(prior, str):
        return plugins.listed(prior)
    return list(prior) if isinstance(prior, tuple) else [prior]


def available() -> dict[str, RegisteredPrior | str]:
    """Every prior that can be named; for an entry point that cannot be loaded, why."""
    return PRIORS.available()
