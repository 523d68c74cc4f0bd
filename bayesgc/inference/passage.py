"""The frozen pass of multilevel splitting: independent islands from the prior down through fixed thresholds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.inference.control import Control, Progress, in_order
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.functionals import quantities
from bayesgc.inference.islands import Islands
from bayesgc.inference.pilot import Schedule
from bayesgc.inference.pooling import IslandRecord, LevelRecord
from bayesgc.inference.request import Request
from bayesgc.inference.streams import Stream

GPU_ISLANDS = 16
"""Islands that advance together on a GPU, to fill it; on a CPU each has a thread to itself."""


@dataclass(frozen=True)
class Passage:
    """Islands that differ in their stream block alone."""

    criterion: Criterion
    schedule: Schedule
    particles: int
    moves: int
    request: Request
    control: Control

    def evaluations(self, islands: int) -> int:
        """Evaluations of the training loss by the pilot and so many islands."""
        return self.schedule.evaluations + islands * self.particles * (1 + self.moves * len(self.schedule.thresholds))

    def islands(self, blocks: list[int]) -> Iterator[IslandRecord]:
        """The islands of these stream blocks, in order; it ends early when the run is told to stop."""
        device = self.criterion.device
        together = 1 if device.type == "cpu" else GPU_ISLANDS
        groups = [blocks[i : i + together] for i in range(0, len(blocks), together)]
        for group, records in zip(groups, in_order(self._descend, groups, device), strict=True):
            if not records:
                return
            self._report(group[-1] + 1, blocks[-1] + 1, records[-1])
            yield from records

    @torch.no_grad()
    def _descend(self, blocks: list[int]) -> list[IslandRecord]:
        """One group of islands from the prior to the last threshold; empty when it was told to stop on the way."""
        islands = Islands.from_prior(self.criterion, self.particles, self.request.seed, Stream.ISLAND, blocks)
        levels = [_measure(islands, [])]
        for threshold, angle in zip(self.schedule.thresholds, self.schedule.angles, strict=True):
            islands.select(threshold)
            accepted = []
            for _ in range(self.moves):
                if self.control.out_of_time():
                    return []
                accepted.append(islands.move(threshold, angle))
            levels.append(_measure(islands, accepted))
        return _harvest(islands, torch.stack(levels), keep_normals=self.request.weights)

    def _report(self, done: int, total: int, last: IslandRecord) -> None:
        reached = self.schedule.thresholds[-1] if self.schedule.thresholds else None
        level = last.levels[-1]
        self.control.report(Progress("islands", done, total, reached, level.acceptance, level.log_volume))


def _measure(islands: Islands, accepted: list[Float[Tensor, ""]]) -> Float[Tensor, "fact island"]:
    """Log volume, E[L_gen], acceptance and ancestors of each island, left on the device."""
    gen_loss = islands.criterion.task.gen_loss(islands.criterion.vectors(islands.normals))
    ones = torch.ones_like(islands.log_volume)
    means = ones * torch.nan if gen_loss is None else islands.island_means(gen_loss)
    acceptance = ones * torch.stack(accepted).mean() if accepted else ones
    return torch.stack([islands.log_volume, means, acceptance, islands.ancestors()])


def _harvest(islands: Islands, levels: Float[Tensor, "level fact island"], *, keep_normals: bool) -> list[IslandRecord]:
    """Take a finished group of islands off the device."""
    count = len(islands.generators)
    vectors = islands.criterion.vectors(islands.normals)
    # The loss that was tested, not one that another batch shape may round differently.
    known = quantities(islands.criterion.task, vectors) | {"train_loss": islands.loss}
    found = {name: values.cpu().chunk(count) for name, values in known.items()}
    parts = vectors.cpu().chunk(count, dim=1)
    normals = islands.normals.cpu().chunk(count, dim=1) if keep_normals else [None] * count
    table = levels.cpu().tolist()
    return [
        IslandRecord(
            levels=[LevelRecord(*(fact[i] for fact in level)) for level in table],
            vectors=parts[i],
            quantities={name: values[i] for name, values in found.items()},
            normals=normals[i],
        )
        for i in range(count)
    ]
