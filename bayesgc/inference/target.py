"""What islands need to know of a criterion, whichever way it is written."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from bayesgc.inference.curve import Profile
from bayesgc.task import Task


@dataclass(frozen=True)
class Harvest:
    """Finished particles.

    ``expected`` holds, where it is known, the conditional expectation of a quantity in place of its value at the
    draw: the same mean with less noise.
    """

    vectors: Float[Tensor, "entry particle"]
    quantities: dict[str, Float[Tensor, "particle *rest"]]
    expected: dict[str, Float[Tensor, " particle"]]
    weights: dict[str, Shaped[Tensor, "particle *site"]] | None

    def cpu(self) -> Harvest:
        """The same off the device."""
        return Harvest(
            self.vectors.cpu(),
            {name: values.cpu() for name, values in self.quantities.items()},
            {name: values.cpu() for name, values in self.expected.items()},
            None if self.weights is None else {name: values.cpu() for name, values in self.weights.items()},
        )


@runtime_checkable
class Target(Protocol):
    """A law over columns of standard normals: the prior, and a score that says how well each column fits."""

    @property
    def task(self) -> Task:
        """What is to be fitted."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the columns are."""
        ...

    @property
    def latent_size(self) -> int:
        """The number of standard normals that make one draw."""
        ...

    @property
    def free_normals(self) -> int:
        """How many of the first rows of a column are standard normals that no other row depends on."""
        ...

    def draw(self, generator: torch.Generator, count: int) -> Float[Tensor, "latent draw"]:
        """Columns of the prior."""
        ...

    def propose(
        self,
        normals: Float[Tensor, "row draw"],
        angle: float | Float[Tensor, " draw"],
        generators: list[torch.Generator],
    ) -> Float[Tensor, "row draw"]:
        """Moves that leave the prior as it is, the larger the angle the farther; one angle for all columns or for each.

        ``normals`` are the rows of one block; ``generators`` serve equal shares of the columns, in order.
        """
        ...

    @property
    def blocks(self) -> tuple[slice, ...]:
        """The rows that moves change one group at a time."""
        ...

    def sweep(self, normals: Float[Tensor, "latent draw"]) -> ScoreSweep:
        """A pass over the blocks of these columns, which change in place."""
        ...

    def score(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, " draw"]:
        """What a ladder's rungs look at: the training loss, or the log evidence."""
        ...

    def at(self, height: float) -> Target:
        """The target as a rung of that height sees it; itself where all see the same."""
        ...

    def scores(self, normals: Float[Tensor, "latent draw"]) -> Callable[[float], Float[Tensor, " draw"]]:
        """The scores of the same columns as rungs of many heights see them."""
        ...

    def generalisation(
        self, normals: Float[Tensor, "latent draw"], generators: Sequence[torch.Generator] = ()
    ) -> Float[Tensor, " draw"] | None:
        """The task's measure of generalisation of each column, or its expectation given the column; None for none.

        ``generators`` serve equal shares of the columns, for models that draw what the training inputs do not see.
        """
        ...

    def testable(self, particles: int) -> int:
        """How many of the particles of an island are to be harvested: all of them, unless that is much work."""
        ...

    def refresh(
        self, normals: Float[Tensor, "latent draw"], generator: torch.Generator
    ) -> Float[Tensor, "latent draw"]:
        """The columns after moves that leave the law of every rung at this height as it is; the same where none is."""
        ...

    def profile(self, normals: Float[Tensor, "latent draw"], generators: list[torch.Generator]) -> Profile | None:
        """What each column says of other thresholds; None where the ladder's own rungs are the thresholds."""
        ...

    def harvest(
        self,
        normals: Float[Tensor, "latent draw"],
        score: Float[Tensor, " draw"],
        generators: list[torch.Generator],
        *,
        weights: bool,
    ) -> Harvest:
        """The finished draws of each column; ``generators`` serve equal shares of the columns, in order."""
        ...


@runtime_checkable
class ScoreSweep(Protocol):
    """One pass over the blocks of columns, in order, that scores a change of each."""

    def score(self, proposal: Float[Tensor, "row draw"]) -> Float[Tensor, " draw"]:
        """The score of each column with other rows in the block at hand."""
        ...

    def advance(self) -> None:
        """Go on to the next block: the one at hand has the rows that it is to have."""
        ...


@dataclass(frozen=True)
class WholeSweep:
    """The pass over columns that are one block: there is nothing to keep."""

    target: Target

    def score(self, proposal: Float[Tensor, "latent draw"]) -> Float[Tensor, " draw"]:
        """The score of each proposed column."""
        return self.target.score(proposal)

    def advance(self) -> None:
        """Nothing: the pass is over."""


def crank_nicolson(
    normals: Float[Tensor, "row draw"],
    angle: float | Float[Tensor, " draw"],
    generators: list[torch.Generator],
) -> Float[Tensor, "row draw"]:
    """The preconditioned Crank–Nicolson step of standard normals (Neal 1999; Cotter et al. 2013)."""
    share = normals.shape[1] // len(generators)
    proposal = beside([_noise(normals, share, each) for each in generators])
    if isinstance(angle, Tensor):
        return proposal.mul_(angle.sin()).addcmul_(normals, angle.cos())
    return proposal.mul_(math.sin(angle)).add_(normals, alpha=math.cos(angle))


def beside(parts: Sequence[Float[Tensor, "row some"]]) -> Float[Tensor, "row draw"]:
    """Columns side by side, laid out in memory as those of the first part are."""
    if len(parts) == 1:
        return parts[0]
    return torch.cat([part.T for part in parts]).T if _columns_whole(parts[0]) else torch.cat(list(parts), dim=1)


def taken(normals: Float[Tensor, "row draw"], columns: Int[Tensor, " chosen"]) -> Float[Tensor, "row chosen"]:
    """Some of the columns, laid out in memory as they are."""
    return normals.T[columns].T if _columns_whole(normals) else normals[:, columns]


def _columns_whole(normals: Float[Tensor, "row draw"]) -> bool:
    """Whether each column is contiguous in memory, rather than each row."""
    return normals.stride(0) == 1 and normals.stride(1) != 1


def _noise(normals: Float[Tensor, "row draw"], share: int, source: torch.Generator) -> Float[Tensor, "row share"]:
    """Standard normals for some columns, laid out in memory as these are."""
    rows, device, dtype = normals.shape[0], normals.device, normals.dtype
    if _columns_whole(normals):
        return torch.randn(share, rows, generator=source, device=device, dtype=dtype).T
    return torch.randn(rows, share, generator=source, device=device, dtype=dtype)
