"""A torch module as a function of its parameters, for many draws at once, in stages where it is a chain."""

from __future__ import annotations

import contextlib
import copy
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bayesgc.models.networks.convolutions import ManyConvolutions

_SLICE = 2**17
"""Numbers of one draw that a network's largest result may have; more examples are passed through it in turn."""


@dataclass(frozen=True)
class Stage:
    """Parts of a module, one acting on what the one before it made: their paths, and the parameters below each."""

    parts: tuple[tuple[str, tuple[str, ...]], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters of all parts."""
        return tuple(name for _, names in self.parts for name in names)

    def __call__(self, module: nn.Module, parameters: dict[str, Tensor], value: Tensor) -> Tensor:
        """What the parts make of a value."""
        for path, names in self.parts:
            own = {name.removeprefix(f"{path}.") if path else name: parameters[name] for name in names}
            part = module.get_submodule(path)
            value = torch.func.functional_call(part, own, (value,)) if own else part(value)
        return value


def stages_of(module: nn.Module) -> list[Stage]:
    """The stages of a chain of plain ``Sequential`` modules in the order in which they act, or one of the whole.

    A stage begins with a module that has parameters. A module that acts twice, or a parameter that two modules share,
    makes it no chain.
    """
    names = tuple(name for name, each in module.named_parameters() if each.requires_grad)
    paths = list(_links(module, ""))
    shared = len(list(module.parameters())) < len(list(module.named_parameters(remove_duplicate=False)))
    if shared or len({id(module.get_submodule(path)) for path in paths}) < len(paths):
        return [Stage((("", names),))]
    stages: list[list[tuple[str, tuple[str, ...]]]] = [[]]
    for path in paths:
        own = tuple(name for name in names if not path or name.startswith(f"{path}."))
        if own and any(found for _, found in stages[-1]):
            stages.append([])
        stages[-1].append((path, own))
    return [Stage(tuple(parts)) for parts in stages]


def _links(module: nn.Module, path: str) -> Iterator[str]:
    if type(module) is not nn.Sequential:
        yield path
        return
    for name, child in module._modules.items():
        if child is not None:
            yield from _links(child, f"{path}.{name}" if path else name)


@dataclass
class Chain:
    """A module as a function of parameters, stage by stage.

    ``largest`` is the size of the largest result of one example. A module that ``vmap`` refuses runs ``one_by_one``.
    """

    module: nn.Module
    stages: list[Stage]
    one_by_one: bool = False
    largest: int = 1
    _copies: dict[tuple[torch.device, torch.dtype], deque[nn.Module]] = field(default_factory=dict, repr=False)

    def through(
        self,
        stages: slice,
        parameters: Mapping[str, Float[Tensor, "draw ..."]],
        value: Tensor,
        *,
        shared: bool = False,
    ) -> Tensor:
        """What some stages make of a value, (draw, example, *size), or of one that all draws have in common."""
        with self._borrowed(value) as module:
            for stage in self.stages[stages]:
                own = {name: parameters[name] for name in stage.names}
                value, shared = self._once(stage, module, own, value, shared=shared), False
        return value

    def _once(
        self, stage: Stage, module: nn.Module, parameters: dict[str, Tensor], value: Tensor, *, shared: bool
    ) -> Tensor:
        def call(own: dict[str, Tensor], given: Tensor) -> Tensor:
            return stage(module, own, given)

        if self.one_by_one:
            draws = range(len(next(iter(parameters.values()))))
            each = [{name: weight[i] for name, weight in parameters.items()} for i in draws]
            return torch.stack([call(own, value if shared else value[i]) for i, own in enumerate(each)])
        with contextlib.nullcontext() if torch.is_grad_enabled() else ManyConvolutions():
            return torch.func.vmap(call, in_dims=(0, None if shared else 0))(parameters, value)

    def outputs(
        self, parameters: Mapping[str, Float[Tensor, "draw ..."]], inputs: Float[Tensor, "example *features"]
    ) -> Float[Tensor, "draw example output"]:
        """The outputs at inputs that all draws have in common, a bounded number of them at once."""
        parts = inputs.split(self.at_once)
        whole = slice(len(self.stages))
        return torch.cat([self.through(whole, parameters, part, shared=True) for part in parts], dim=1)

    @property
    def at_once(self) -> int:
        """Examples that are passed through together where they need not be."""
        return max(1, _SLICE // self.largest)

    @contextlib.contextmanager
    def _borrowed(self, like: Tensor) -> Iterator[nn.Module]:
        """The module where a tensor is, to oneself: a call puts its parameters in place, and threads call at once."""
        free = self._copies.setdefault((like.device, like.dtype), deque())
        try:
            module = free.pop()
        except IndexError:
            module = copy.deepcopy(self.module).to(like.device, like.dtype)
        try:
            yield module
        finally:
            free.append(module)

    def __getstate__(self) -> dict[str, object]:
        # Copies belong to this process.
        return self.__dict__ | {"_copies": {}}
