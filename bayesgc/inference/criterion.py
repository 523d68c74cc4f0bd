"""The fit criterion: the event that the score is below ε, as a function of the whitened weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.inference.collapsed.refresh import refresh_at_fixed_values
from bayesgc.inference.collapsed.singular import why_no_density
from bayesgc.inference.target import Harvest, ScoreSweep, WholeSweep, crank_nicolson, taken
from bayesgc.models import Whitened, as_sites
from bayesgc.models.factorization.collapse import Collapsed
from bayesgc.models.placement import exact_device
from bayesgc.task import ArrayTask, Task, linear_view
from bayesgc.task.array.feasibility import Resolution
from bayesgc.validate import InputError

_CHUNK_ENTRIES = {"cpu": 2**18, "cuda": 2**28, "mps": 2**26}
"""Latent entries evaluated at once: on a CPU what its cache holds, on a GPU what its memory holds."""


_ON_THE_WAY, _AT_THE_END = (10**9, 24), (10**10, 200)
"""Multiplications that may go into testing the particles of an island on a level, and at the end, and how many of them
are tested at least: the spread over islands, not over particles, is the error of what is tested."""
_MOST_ON_THE_WAY = 100
"""Of an island on a level, where only the curve is made of them."""


@dataclass(frozen=True)
class Criterion:
    """A model's prior, a task and a threshold on its score, which for arrays is the training loss.

    Draws are columns: ``normals`` is (latent, draw), a draw of the prior when its entries are standard normal.
    ``collapsed`` is the model's collapsed form where it has one, for the methods that need it. ``resolution`` is how
    finely losses can be told apart, for the methods that test them; None where nobody asks. ``check`` is called within
    blocks, and raises where the run is to end.
    """

    task: Task
    whitened: Whitened
    eps: float
    device: torch.device
    dtype: torch.dtype
    collapsed: Collapsed | None = None
    resolution: Resolution | None = None
    check: Callable[[], None] = field(default=lambda: None, repr=False, compare=False)

    def check_resolved(self) -> None:
        """Refuse a threshold at which rounding decides what fits, for methods that compare losses with it.

        Raises:
            InputError: for such a threshold.
        """
        if self.resolution is not None:
            self.resolution.check(self.eps, self.dtype)

    @property
    def latent_size(self) -> int:
        """The number of standard normals that make one draw."""
        return self.whitened.size

    @property
    def free_normals(self) -> int:
        """All rows but those of carried sites; none where the values of such sites depend on other rows."""
        program = as_sites(self.whitened)
        if program is None:
            return self.latent_size
        layout = program.layout
        return 0 if any(site.depends for site in layout.carried) else layout.normals

    @property
    def chunk(self) -> int:
        """Draws evaluated at once; a fixed rule, so that it changes no bit from run to run."""
        return self._chunk(self.whitened.working)

    def _chunk(self, numbers: int) -> int:
        return max(64, _CHUNK_ENTRIES[self.device.type] // numbers)

    @property
    def exact(self) -> bool:
        """Whether a fit is an event without volume: an array's training loss of exactly zero."""
        return self.eps == 0 and linear_view(self.task) is not None

    @property
    def array(self) -> ArrayTask:
        """The task, for what needs linear measurements of an array.

        Raises:
            InputError: where it is no such task.
        """
        view = linear_view(self.task)
        if view is None:
            raise InputError(f"the task is {self.task.kind}; this needs linear measurements of an array.")
        return view

    def draw(self, generator: torch.Generator, count: int) -> Float[Tensor, "latent draw"]:
        """Normals of ``count`` draws from the prior."""
        return self.whitened.draw(generator, count, device=self.device, dtype=self.dtype)

    def propose(
        self,
        normals: Float[Tensor, "row draw"],
        angle: float | Float[Tensor, " draw"],
        generators: list[torch.Generator],
    ) -> Float[Tensor, "row draw"]:
        """Moves that leave the prior as it is; ``generators`` serve equal shares of the columns, in order."""
        program = as_sites(self.whitened)
        if program is not None and program.carries:
            parts = zip(normals.chunk(len(generators), dim=1), generators, strict=True)
            return torch.cat([program.propose(part, float(angle), each) for part, each in parts], dim=1)
        return crank_nicolson(normals, angle, generators)

    @property
    def blocks(self) -> tuple[slice, ...]:
        """The layers of a network, which move one at a time; all rows at once where there are none."""
        return self.whitened.blocks

    def sweep(self, normals: Float[Tensor, "latent draw"]) -> ScoreSweep:
        """A pass over the blocks of these columns."""
        return WholeSweep(self) if len(self.blocks) == 1 else _Sweep(self, normals)

    def at(self, height: float) -> Criterion:
        """The criterion itself: every threshold looks at the same loss."""
        return self

    def scores(self, normals: Float[Tensor, "latent draw"]) -> Callable[[float], Float[Tensor, " draw"]]:
        """The scores of the same columns as rungs of many heights see them."""
        return lambda height: self.at(height).score(normals)

    def vectors(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, "entry draw"]:
        """The outputs, vectorised row by row."""
        return torch.cat([self.whitened.vectors(part) for part in normals.split(self.chunk, dim=1)], dim=1)

    def score(self, normals: Float[Tensor, "latent draw"]) -> Float[Tensor, " draw"]:
        """How badly each draw fits."""
        return self.evaluate(normals, keep_vectors=False)[1]

    def generalisation(
        self, normals: Float[Tensor, "latent draw"], generators: Sequence[torch.Generator] = ()
    ) -> Float[Tensor, " draw"] | None:
        """The task's measure of generalisation of each draw, or None where it is not known.

        Where testing is much work only some of the draws are tested, spread evenly over each share, and the others NaN.
        """
        if not self.whitened.tests_apart:
            return self.task.generalisation(self.vectors(normals))
        if not self.task.judged:
            return None
        shares = max(len(generators), 1)
        columns = self._spread(normals.shape[1] // shares, shares)
        tested = self._held_out(taken(normals, columns), generators)
        found = [self.task.generalisation(each, each) for each in tested if each is not None]
        known = torch.cat([each for each in found if each is not None])
        return known.new_full((normals.shape[1],), torch.nan).index_copy(0, columns, known)

    def testable(self, particles: int) -> int:
        """How many of the particles of an island, or of the draws of a chain, are to be tested at the end."""
        work = self.whitened.work_held_out if self.whitened.tests_apart and self.task.judged else 0
        return _affordable(particles, work, *_AT_THE_END)

    def _spread(self, share: int, shares: int) -> Int[Tensor, " column"]:
        """Columns at even distances in each of some equal shares, as many as are tested on the way."""
        count = min(_affordable(share, self.whitened.work_held_out, *_ON_THE_WAY), _MOST_ON_THE_WAY)
        own = torch.arange(count, device=self.device) * share // max(count, 1)
        return (torch.arange(shares, device=self.device)[:, None] * share + own).flatten()

    def measures(
        self,
        normals: Float[Tensor, "latent draw"],
        vectors: Float[Tensor, "entry draw"],
        generators: Sequence[torch.Generator],
        score: Float[Tensor, " draw"] | None = None,
    ) -> dict[str, Float[Tensor, "draw *rest"]]:
        """All that the task reports of each draw; ``generators`` and ``score`` as elsewhere."""
        if not self.whitened.tests_apart:
            return self.task.measures(vectors, score=score)
        scores = self.task.score(vectors) if score is None else score
        found, start = [], 0
        for held_out in self._held_out(normals, generators):
            end = vectors.shape[1] if held_out is None else start + held_out.shape[1]
            found.append(self.task.measures(vectors[:, start:end], held_out, scores[start:end]))
            start = end
        return {name: torch.cat([each[name] for each in found]) for name in found[0]} if found else {}

    def _held_out(
        self, normals: Float[Tensor, "latent draw"], generators: Sequence[torch.Generator]
    ) -> Iterator[Float[Tensor, "held_out draw"] | None]:
        """The outputs where the task tests, a few draws at once; one None where it tests nowhere."""
        if not self.task.judged:
            yield None
            return
        chunk = self._chunk(self.whitened.working_held_out)
        for part, source in zip(normals.chunk(max(len(generators), 1), dim=1), generators, strict=True):
            for piece in part.split(chunk, dim=1):
                self.check()
                yield self.whitened.held_out(piece, source)

    def refresh(
        self, normals: Float[Tensor, "latent draw"], generator: torch.Generator
    ) -> Float[Tensor, "latent draw"]:
        """The columns after moves that keep the training loss, for models that collapse."""
        if self.collapsed is None or not self._refreshable:
            return normals
        return refresh_at_fixed_values(self.array, self.collapsed, normals, generator, self.check)

    @cached_property
    def _refreshable(self) -> bool:
        """Whether columns can move at fixed measured values, in the latents that both forms of the model share."""
        if self.collapsed is None or self.collapsed.whitened is not self.whitened:
            return False
        if exact_device(self.device) != self.device:
            return False
        # Where so few systems are solved at once, one refresh costs hundreds of moves.
        if CollapsedCriterion(self.array, self.collapsed, 0.0, self.device).large:
            return False
        return why_no_density(self.array, self.collapsed, self.eps) is None

    def profile(self, normals: Float[Tensor, "latent draw"], generators: list[torch.Generator]) -> None:
        """Nothing: the thresholds of splitting are the curve."""

    def harvest(
        self,
        normals: Float[Tensor, "latent draw"],
        score: Float[Tensor, " draw"],
        generators: list[torch.Generator],
        *,
        weights: bool,
    ) -> Harvest:
        """Outputs, measures and, on request, weights of each column."""
        vectors = self.vectors(normals)
        known = self.measures(normals, vectors, generators, score)
        sites = self.whitened.weights(normals) if weights else None
        return Harvest(vectors, known, {}, sites).cpu()

    def evaluate(
        self, normals: Float[Tensor, "latent draw"], *, keep_vectors: bool = True
    ) -> tuple[Float[Tensor, "entry kept"], Float[Tensor, " draw"]]:
        """The outputs (no columns unless they are kept) and the score of each draw."""
        [found] = evaluate_together([self], normals, keep_vectors=keep_vectors)
        return found


def _affordable(draws: int, work: int, budget: int, least: int) -> int:
    """How many of the draws may be tested, each of so much work."""
    return draws if work == 0 else min(draws, max(least, budget // work))


class _Sweep:
    """A pass over the layers of columns, scored in batches of bounded size."""

    def __init__(self, criterion: Criterion, normals: Float[Tensor, "latent draw"]) -> None:
        self.criterion = criterion
        self._sweeps = [criterion.whitened.sweep(part) for part in normals.split(criterion.chunk, dim=1)]

    def score(self, proposal: Float[Tensor, "row draw"]) -> Float[Tensor, " draw"]:
        """The score of each draw with other weights in the layer at hand."""
        scores = []
        for sweep, part in zip(self._sweeps, proposal.split(self.criterion.chunk, dim=1), strict=True):
            self.criterion.check()
            scores.append(self.criterion.task.score(sweep.vectors(part)))
        return torch.cat(scores)

    def advance(self) -> None:
        """Go on to the next layer."""
        for sweep in self._sweeps:
            sweep.advance()


def evaluate_together(
    criteria: Sequence[Criterion], normals: Float[Tensor, "latent draw"], *, keep_vectors: bool = True
) -> list[tuple[Float[Tensor, "entry kept"], Float[Tensor, " draw"]]]:
    """`Criterion.evaluate` for several criteria on the same draws; what they share is multiplied once.

    They have latents of one size, and where they have one ``whitened`` they share its matrices too.
    """
    chunks: list[list[tuple[Tensor, Tensor]]] = [[] for _ in criteria]
    for part in normals.split(criteria[0].chunk, dim=1):
        criteria[0].check()
        values: dict[int, Tensor] = {}
        for criterion, found in zip(criteria, chunks, strict=True):
            own = id(criterion.whitened)
            if own not in values:
                values[own] = criterion.whitened.vectors(part)
            value = values[own]
            found.append((value if keep_vectors else value[:, :0], criterion.task.score(value)))
    return [(torch.cat([v for v, _ in found], dim=1), torch.cat([loss for _, loss in found])) for found in chunks]
