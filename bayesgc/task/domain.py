"""What a model must know of a task to give outputs for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from bayesgc.validate import InputError


@dataclass(frozen=True, eq=False)
class Inputs:
    """The inputs of a network, and how many numbers it is to give for each.

    ``train`` and ``test`` are (example, *features), ``test`` None where there is no test set.
    """

    train: Float[np.ndarray, "train *features"]
    test: Float[np.ndarray, "test *features"] | None
    outputs: int

    @property
    def features(self) -> tuple[int, ...]:
        """The axes of one example."""
        return self.train.shape[1:]

    @property
    def count(self) -> int:
        """Training examples."""
        return len(self.train)

    @cached_property
    def flat_train(self) -> Float[np.ndarray, "feature train"]:
        """The training examples as columns."""
        return self.train.reshape(self.count, math.prod(self.features)).T

    @cached_property
    def flat_test(self) -> Float[np.ndarray, "feature test"] | None:
        """The test examples as columns."""
        return None if self.test is None else self.test.reshape(len(self.test), math.prod(self.features)).T


Domain = tuple[int, ...] | Inputs
"""The shape of an array; or the inputs of a network."""


def array_shape(domain: Domain, who: str) -> tuple[int, ...]:
    """The shape, for a model of arrays, which ``who`` is.

    Raises:
        InputError: where the domain is the inputs of labelled examples.
    """
    if isinstance(domain, Inputs):
        raise InputError(
            f"{who} is a model of arrays, and the task is labelled examples; give a network, as `family=mlp`."
        )
    return domain


def inputs_for(domain: Domain, who: str) -> Inputs:
    """The inputs, for a network, which ``who`` is.

    Raises:
        InputError: where the domain is the shape of an array.
    """
    if not isinstance(domain, Inputs):
        raise InputError(
            f"the task asks for an array of shape {domain}; {who} is for labelled examples, and `family=matrix`, cp or "
            "tensor-train for arrays."
        )
    return domain


def network_inputs(domain: Domain) -> Inputs | None:
    """The inputs of a network, where the domain is that, else None."""
    return domain if isinstance(domain, Inputs) else None
