"""What counts as a model: the protocol that methods rely on, and a user's own Pyro program in its clothes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from bayesgc.models.layout import Program
from bayesgc.models.promotion import promoting
from bayesgc.models.whitening import Whitened, WhitenedProgram
from bayesgc.plugins import load
from bayesgc.task.domain import Domain, array_shape
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


@runtime_checkable
class Trainable(Protocol):
    """A network of weight matrices that gradient descent can train from any start."""

    @property
    def bias(self) -> bool:
        """Whether the last column of each weight matrix is a bias."""
        ...

    def layer_shapes(self, domain: Domain) -> list[tuple[int, int]]:
        """(rows, cols) of every weight matrix, in the order in which they act."""
        ...

    def raw(
        self, layers: list[Float[Tensor, "start _ _"]], inputs: Float[Tensor, "start example feature"]
    ) -> Float[Tensor, "start example output"]:
        """The outputs of every start, differentiably."""
        ...

    def whiten(self, domain: Domain, *, weights: bool = False) -> Whitened:
        """The prior of the weights as a function of standard normals."""
        ...


@dataclass(frozen=True)
class ProgramModel:
    """Any Pyro program without arguments that returns one matrix of the task's shape.

    Args:
        source: the program; hierarchical priors and mixtures are welcome.
        batched: its operations carry a leading batch dimension through, so that one call makes many draws.
        normalize: every array that it returns has Frobenius norm 1, which it sees to itself.
        name: what messages and results call it; None for the program's own name.
    """

    source: Program
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

    def program(self, shape: tuple[int, ...]) -> Program:
        """The user's program, in which numbers of several precisions may meet."""
        return promoting(self.source)

    def whiten(self, domain: Domain, *, weights: bool = False) -> Whitened:
        """The program under the whitening handler, which has its weights at hand either way.

        Raises:
            InputError: when one plain run shows that it breaks the contract.
        """
        shape = array_shape(domain, f"model {self.label!r}")
        return WhitenedProgram(self.source, shape, batched=self.batched, who=f"model {self.label!r}")


def describe(model: Model) -> dict[str, Any]:
    """A model in plain values, for the record."""
    facts = getattr(model, "facts", None)
    return (
        facts
        if facts is not None
        else {"family": "program", "name": type(model).__name__, "normalize": model.normalize}
    )


def model_named(spec: str) -> Model:
    """The model that ``file.py:program`` or ``package.module:program`` names: a Pyro program, or a model object."""
    found = load("model", spec)
    if isinstance(found, type) or not (callable(found) or isinstance(found, Model)):
        raise InputError(f"model {spec!r} is {found!r}; it must be a Pyro program without arguments.")
    return found if isinstance(found, Model) else ProgramModel(found, name=spec)


def as_model(value: Any) -> Model:
    """``value`` itself when it is a model, or a `ProgramModel` around a Pyro program."""
    if not isinstance(value, type) and isinstance(value, Model):
        return value
    if callable(value) and not isinstance(value, type):
        return ProgramModel(value)
    raise InputError(f"model is {value!r}; give a bayesgc model or a Pyro program without arguments.")


def trainable(model: object) -> Trainable | None:
    """A model as a network that descent can train on labelled examples, where it is that, else None."""
    return model if isinstance(model, Trainable) else None
