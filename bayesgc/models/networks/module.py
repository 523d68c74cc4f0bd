"""Any `torch.nn.Module` as a network: its parameters are the weights, each with a prior."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesgc.copies import DeviceCopies
from bayesgc.models.layout import Program
from bayesgc.models.networks.normalized import NormalizedNetwork, check_normalization
from bayesgc.models.networks.stages import Chain, stages_of
from bayesgc.models.networks.trainable import Parameter, Weights, scale_of
from bayesgc.models.networks.trial import Source, check_kind, make_module, presented, try_module, work_of
from bayesgc.models.networks.whitened_module import WhitenedModule, matrices
from bayesgc.models.priors.prior import (
    SCALINGS,
    Prior,
    by_pattern,
    each_layer,
    given_priors,
    hyperparameters,
    layer_prior,
)  # fmt: skip
from bayesgc.models.whitening import Whitened
from bayesgc.plugins import blame
from bayesgc.task.domain import Domain, Inputs, inputs_for
from bayesgc.validate import InputError, one_of

_TRIED, _MANY = 3, 1000
"""Examples and draws of a trial; draws among which one must be finite."""


@dataclass(frozen=True)
class Module:
    """A torch module as a network with independent weights.

    Its parameters that require gradients are drawn, under the names that the module gives them; others, and buffers,
    stay as they are. A layer is a submodule with parameters of its own, and its fan-in is torch's, receptive field
    included; a bias has the scale of its layer, any other vector that of one input. Examples keep their shape, but get
    an axis of channels where the first layer is a convolution that lacks one, and are put in a row where it is a
    ``Linear`` of as many features.

    Args:
        source: a module, or a class or function that makes one: without arguments, or with ``features``, the shape of
            an example, and ``outputs``, those of them that it asks for.
        prior: of a parameter as a matrix with a row for each unit: a name with options or a function (rows, cols) →
            Pyro distribution for all of them; a tuple with one for each layer; or a mapping from patterns such as
            ``"conv*.weight"`` to priors, of which the first that matches a name holds.
        scaling: how shipped priors scale a layer, as for `MLP`.
        normalize_weights: divide the outputs by the size of the weights, ``frobenius`` or ``lipschitz``.
        name: what messages and results call it; None for the source's own name.

    Raises:
        InputError: for a value outside of these.
    """

    source: Source
    prior: str | Prior | tuple[Any, ...] | Mapping[str, Any] = "gaussian"
    scaling: str = "fan-in"
    normalize_weights: str | None = None
    name: str | None = None
    family: ClassVar[str] = "module"
    normalize: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not isinstance(self.source, nn.Module) and not callable(self.source):
            raise InputError(f"source is {self.source!r}; give a torch.nn.Module, or what makes one.")
        one_of("scaling", self.scaling, SCALINGS)
        check_normalization(self.normalize_weights)
        for prior in given_priors(self.prior):
            layer_prior(prior, self.scaling)

    @property
    def label(self) -> str:
        """What messages and results call it."""
        return self.name or str(getattr(self.source, "__name__", type(self.source).__name__))

    @property
    def facts(self) -> dict[str, Any]:
        """The family, what it is called, and its prior."""
        return {"family": self.family, **hyperparameters(self, but=("source",)), "name": self.label}

    def network(self, domain: Domain) -> ModuleNetwork:
        """The network for these inputs.

        Raises:
            InputError: where there are no inputs, or the module is none that can be conditioned.
        """
        inputs, who = inputs_for(domain, f"model {self.label!r}"), f"model {self.label!r}"
        made = make_module(self.source, {"features": inputs.features, "outputs": inputs.outputs}, who)
        return ModuleNetwork.of(made, inputs, who, self.normalize_weights)

    def laws(self, network: ModuleNetwork) -> dict[str, dist.Distribution]:
        """The distribution of each parameter as a matrix, by layer."""
        layers = network.layers
        if isinstance(self.prior, Mapping) or by_pattern(self.prior) is not None:
            named = _matched(self.prior, [name for layer in layers for name in layer])
        else:
            priors = each_layer(self.prior, [layer[0].rpartition(".")[0] or layer[0] for layer in layers])
            named = {name: prior for layer, prior in zip(layers, priors, strict=True) for name in layer}
        return {name: self._law(named[name], name, network) for layer in layers for name in layer}

    def _law(self, prior: Any, name: str, network: ModuleNetwork) -> dist.Distribution:
        shape, fans = network.shapes[name], network.fans[name]
        rows = shape[0] if shape else 1
        return layer_prior(prior, lambda *_: SCALINGS[self.scaling](*fans))(rows, math.prod(shape) // rows, name)

    def program(self, domain: Domain) -> Program:
        """The generative model of the outputs (example, output) as a Pyro program."""
        network = self.network(domain)
        laws = self.laws(network)

        def drawn() -> Tensor:
            weights = {name: pyro.sample(name, law).reshape(network.shapes[name]) for name, law in laws.items()}
            value = network.train.like(next(iter(weights.values())))
            found: Tensor = torch.func.functional_call(network.chain.module, weights, (value,))
            return found

        return drawn

    def whiten(self, domain: Domain, *, weights: bool = False) -> Whitened:
        """The outputs as a fast function of standard normals.

        Raises:
            InputError: where the outputs are finite for no draw of the prior.
        """
        network = self.network(domain)
        laws, work = self.laws(network), network.work
        whitened = WhitenedModule(
            network.chain, network.layers, network.shapes, laws, network.train, network.test, work
        )
        network.look(whitened)
        return whitened if self.normalize_weights is None else NormalizedNetwork(whitened, self.normalize_weights)


@dataclass(frozen=True)
class ModuleNetwork:
    """A module for some inputs, as a function of its parameters."""

    chain: Chain
    train: DeviceCopies
    test: DeviceCopies | None
    work: int
    who: str
    normalization: str | None = None
    form: int = field(default=0)

    @classmethod
    def of(cls, module: nn.Module, inputs: Inputs, who: str, normalization: str | None) -> ModuleNetwork:
        """The module, tried on some of the inputs."""
        check_kind(module, who)
        some = torch.from_numpy(np.resize(inputs.train, (_TRIED, *inputs.features))).to(_precision(module))
        form = try_module(module, some, inputs.outputs, who)
        largest, work = work_of(module, list(presented(module, some))[form])
        chain = Chain(module, stages_of(module), largest=largest)
        test = None if inputs.test is None else DeviceCopies(cls._presented(module, inputs.test, form))
        return cls(
            chain, DeviceCopies(cls._presented(module, inputs.train, form)), test, work, who, normalization, form
        )

    @staticmethod
    def _presented(module: nn.Module, examples: np.ndarray, form: int) -> np.ndarray:
        return list(presented(module, torch.from_numpy(examples)))[form].numpy()

    @cached_property
    def layers(self) -> list[list[str]]:
        """The names of the parameters of each submodule that has some of its own, in the order of the module."""
        found: dict[str, list[str]] = {}
        for name in self.shapes:
            found.setdefault(name.rpartition(".")[0], []).append(name)
        return list(found.values())

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The axes of each parameter."""
        return {name: tuple(each.shape) for name, each in self._drawn.items()}

    @cached_property
    def _drawn(self) -> dict[str, nn.Parameter]:
        return {name: each for name, each in self.chain.module.named_parameters() if each.requires_grad}

    @cached_property
    def fans(self) -> dict[str, tuple[int, int]]:
        """(fan-out, fan-in) of each parameter, of a bias those of the first matrix of its layer."""
        found = {}
        for layer in self.layers:
            fans = [_fans(self.shapes[name]) for name in layer if len(self.shapes[name]) > 1]
            for name in layer:
                own = self.shapes[name]
                found[name] = _fans(own) if len(own) > 1 else fans[0] if fans else (math.prod(own), 1)
        return found

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The weights, for gradient descent: biases start at zero, vectors of no layer where the module has them."""
        return {name: Parameter(self.shapes[name], **self._start(name)) for layer in self.layers for name in layer}

    def _start(self, name: str) -> dict[str, Any]:
        if len(self.shapes[name]) > 1:
            return {"fan_in": self.fans[name][1]}
        layer = next(each for each in self.layers if name in each)
        beside = any(len(self.shapes[each]) > 1 for each in layer)
        return {"fan_in": None, "start": None if beside else self._drawn[name].detach()}

    def raw(
        self, weights: Weights, inputs: Float[Tensor, "start example *features"]
    ) -> Float[Tensor, "start example output"]:
        """The outputs of every start, differentiably, before any normalisation."""
        given = list(presented(self.chain.module, inputs.flatten(0, 1)))[self.form].unflatten(0, inputs.shape[:2])
        every, size = slice(len(self.chain.stages)), given.shape[1] if torch.is_grad_enabled() else self.chain.at_once
        return torch.cat([self.chain.through(every, weights, part) for part in given.split(size, dim=1)], dim=1)

    def scale(self, weights: Weights) -> Float[Tensor, " start"] | None:
        """What the outputs are divided by."""
        return scale_of(matrices(dict(weights)), self.normalization)

    def look(self, whitened: WhitenedModule) -> None:
        """Look at a few draws, whether they can be made together, and whether any is finite.

        Raises:
            InputError: where none is.
        """
        source = torch.Generator().manual_seed(0)
        some = DeviceCopies(self.train.array[:_TRIED])

        def draw(count: int) -> Tensor:
            normals = whitened.draw(source, count, device=torch.device("cpu"), dtype=torch.float32)
            return self.chain.outputs(whitened.weights(normals), some.like(normals))

        with torch.no_grad(), blame(self.who):
            try:
                finite = _some_finite(draw(_TRIED))
            except Exception:  # noqa: BLE001 - whatever vmap refuses may still run alone, and else it says why
                self.chain.one_by_one = True
                finite = _some_finite(draw(_TRIED))
            if not finite and not any(_some_finite(draw(_MANY // 10)) for _ in range(10)):
                raise InputError(f"{self.who} gave outputs that are not finite in each of {_MANY} draws.")


def _matched(prior: Any, names: list[str]) -> dict[str, Any]:
    """The prior of each parameter by the first pattern that matches its name."""
    patterns = dict(prior) if isinstance(prior, Mapping) else by_pattern(prior) or {}
    found = {}
    for name in names:
        matching = [pattern for pattern in patterns if fnmatchcase(name, pattern)]
        if not matching:
            raise InputError(f"no pattern of prior matches {name!r}; one of '*' at the end takes what others leave.")
        found[name] = patterns[matching[0]]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(f"prior has the pattern {pattern!r}, which matches none of {', '.join(names)}.")
    return found


def _fans(shape: tuple[int, ...]) -> tuple[int, int]:
    inner, outer = nn.init._calculate_fan_in_and_fan_out(torch.empty(shape, device="meta"))
    return int(outer), int(inner)


def _precision(module: nn.Module) -> torch.dtype:
    return next(each.dtype for each in module.parameters() if each.requires_grad)


def _some_finite(outputs: Float[Tensor, "draw example output"]) -> bool:
    return bool(outputs.flatten(1).isfinite().all(1).any())


def as_module(model: object) -> Module | None:
    """A model as a torch module with a prior, where it is that, else None."""
    return model if isinstance(model, Module) else None
