"""What counts as a model: the protocol that methods rely on, and a user's own Pyro program in its clothes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from bayesgc.models.layout import Program
from bayesgc.models.networks.module import Module
from bayesgc.models.networks.trainable import Trainable
from bayesgc.models.promotion import promoting
from bayesgc.models.whitened_program import WhitenedNetworkProgram
from bayesgc.models.whitening import Whitened, WhitenedProgram
from bayesgc.plugins import load
from bayesgc.task.domain import Domain, array_shape, network_inputs
from bayesgc.validate import InputError


@runtime_checkable
class Model(Protocol):
    """A prior over end-to-end arrays of any shape, or over the outputs of a network at any inputs."""

    @property
    def normalize(self) -> bool:
        """Whether every matrix it draws has Frobenius norm 1."""
        ...

    def program(self, shape: tuple[int, ...]) -> Program:
        """The generative Pyro program for matrices of ``shape``."""
        ...

    def whiten(self, domain: Domain, *, weights: bool = False) -> Whitened:
        """The same law as a function of standard normals, for an array of a shape, or for the inputs of a network.

        ``weights`` says that those will be asked for.

        Raises:
            InputError: where the model is for the other.
        """
        ...


@dataclass(frozen=True)
class ProgramModel:
    """Any Pyro program that returns one array of the task's shape; or of one argument, inputs, that returns outputs.

    A program without arguments is for arrays. One with an argument is for labelled examples: it is given inputs
    (example, *features), those of training or of test, and returns (example, output). Its latent sites are the same
    whatever the inputs, and one draw of them is looked at on both.

    Args:
        source: the program; hierarchical priors and mixtures are welcome.
        batched: its operations carry a leading batch dimension through, so that one call makes many draws.
        normalize: every array that it returns has Frobenius norm 1, which it sees to itself.
        name: what messages and results call it; None for the program's own name.
    """

    source: Callable[..., Tensor]
    batched: bool = False
    normalize: bool = False
    name: str | None = None

    @property
    def label(self) -> str:
        """What messages and results call it."""
        return self.name or str(getattr(self.source, "__name__", type(self.source).__name__))

    @property
    def facts(self) -> dict[str, Any]:
        """What it is called."""
        return {"family": "program", "name": self.label, "normalize": self.normalize}

    def program(self, domain: Domain) -> Program:
        """The user's program, in which numbers of several precisions may meet; of inputs, at those of training."""
        if (inputs := network_inputs(domain)) is not None:
            return promoting(partial(self.source, torch.from_numpy(inputs.train).float()))
        return promoting(self.source)

    def whiten(self, domain: Domain, *, weights: bool = False) -> Whitened:
        """The program under the whitening handler, which has its weights at hand either way.

        Raises:
            InputError: when one plain run shows that it breaks the contract.
        """
        who, inputs = f"model {self.label!r}", network_inputs(domain)
        if inputs is None:
            if count := _arguments(self.source):
                raise InputError(
                    f"{who} must be given arguments, {count} of them; for an array a program takes none, and one, the "
                    "inputs, for labelled examples."
                )
            return WhitenedProgram(self.source, array_shape(domain, who), batched=self.batched, who=who)
        if _arguments(self.source) != 1:
            raise InputError(
                f"{who} takes {_arguments(self.source)} arguments; for labelled examples it must take one, the inputs "
                "(example, *features), and return (example, output)."
            )
        return WhitenedNetworkProgram(self.source, inputs, batched=self.batched, who=who)


def _arguments(program: Callable[..., Tensor]) -> int:
    """How many arguments a program must be given."""
    try:
        asked = inspect.signature(program).parameters.values()
    except (TypeError, ValueError):
        return 0
    return sum(each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, _BY_NAME) for each in asked)


_BY_NAME = inspect.Parameter.POSITIONAL_OR_KEYWORD


def describe(model: Model) -> dict[str, Any]:
    """A model in plain values, for the record."""
    facts = getattr(model, "facts", None)
    return (
        facts
        if facts is not None
        else {"family": "program", "name": type(model).__name__, "normalize": model.normalize}
    )


def model_named(spec: str) -> Model:
    """The model that ``file.py:name`` or ``package.module:name`` names: a program, a torch module or a model object."""
    found = load("model", spec)
    model = _model(found, spec)
    if model is None:
        raise InputError(f"model {spec!r} is {found!r}; it must be a Pyro program or a torch.nn.Module.")
    return model


def as_model(value: Any) -> Model:
    """``value`` itself when it is a model, or a model around a Pyro program or a torch module."""
    model = _model(value, None)
    if model is None:
        raise InputError(f"model is {value!r}; give a bayesgc model, a Pyro program or a torch.nn.Module.")
    return model


def _model(value: Any, name: str | None) -> Model | None:
    if isinstance(value, torch.nn.Module) or (isinstance(value, type) and issubclass(value, torch.nn.Module)):
        return Module(value, name=name)
    if isinstance(value, type) or not (callable(value) or isinstance(value, Model)):
        return None
    return value if isinstance(value, Model) else ProgramModel(value, name=name)


def trainable(model: object) -> Trainable | None:
    """A model as a network that descent can train on labelled examples, where it is that, else None."""
    return model if isinstance(model, Trainable) else None


def why_untrainable(model: object) -> str | None:
    """Why descent on labelled examples has nothing to train, where a model says so itself."""
    said: str | None = getattr(model, "why_untrainable", None)
    return said
