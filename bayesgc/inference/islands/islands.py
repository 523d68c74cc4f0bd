"""Islands of particles that climb a ladder from the prior to the posterior.

The building blocks of multilevel splitting and of tempering. Particles are columns of standard normals, so the
preconditioned Crank–Nicolson move (Neal 1999; Cotter, Roberts, Stuart and White 2013) leaves the prior invariant, and
what a rung accepts of it leaves that rung's law invariant.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from bayesgc.inference.islands.ladders import Rung, ScoreOn
from bayesgc.inference.streams import Stream, generator
from bayesgc.inference.target import ScoreSweep, Target, beside, taken


@dataclass
class Islands:
    """A group of islands that advance together; island i holds the columns i·particles to (i + 1)·particles.

    ``score`` is the target's, and ``root`` the index of each particle's ancestor among the first draws of its island.
    ``log_weight`` is how much a particle counts beside others, for particles that do not come from the prior itself;
    the volume of an island is ``log_volume`` and the mean of these weights.
    """

    target: Target
    generators: list[torch.Generator]
    normals: Float[Tensor, "latent column"]
    score: Float[Tensor, " column"]
    root: Int[Tensor, "island particle"]
    log_volume: Float[Tensor, " island"]
    log_weight: Float[Tensor, "island particle"]

    @classmethod
    def from_prior(cls, target: Target, particles: int, seed: int, stream: Stream, blocks: list[int]) -> Islands:
        """Fresh draws from the prior, one island for each block of the stream."""
        device = target.device
        generators = [generator(seed, stream, block, device) for block in blocks]
        normals = beside([target.draw(each, particles) for each in generators])
        return cls(
            target,
            generators,
            normals,
            target.score(normals),
            torch.arange(particles, device=device).expand(len(blocks), -1),
            torch.zeros(len(blocks), dtype=exact_dtype(device), device=device),
            torch.zeros(len(blocks), particles, dtype=exact_dtype(device), device=device),
        )

    @property
    def particles(self) -> int:
        """Particles in each island."""
        return self.root.shape[1]

    @property
    def log_volumes(self) -> Float[Tensor, " island"]:
        """The log volume of each island."""
        return self.log_volume + self.log_weight.exp().mean(1).log()

    def score_on(self, rung: Rung) -> Float[Tensor, " column"]:
        """The score of each particle as a rung sees it."""
        target = self.target.at(rung.height)
        return self.score if target is self.target else target.score(self.normals)

    def looks(self) -> ScoreOn:
        """The scores of the particles where they are as any rung sees them, for a ladder that tries many."""
        scores = self.target.scores(self.normals)
        return lambda rung: scores(rung.height)

    def select(self, rung: Rung, *, level: bool = False) -> None:
        """Replace the particles by copies in proportion to their weight on a rung, and count the mean weight.

        Half of the logarithm of their own weight is levelled out too, or with ``level`` all of it: a rare particle
        that weighs little is not lost at once, and one of no account does not stay.

        Systematic resampling in random order: a particle gets the whole number of copies below or above what it is
        due, so equal weights get equal copies but for one, and the volume stays unbiased. The
        particles of an island without any weight are dealt as if all weighed the same; its volume is zero from here.
        """
        before, self.score, self.target = self.score, self.score_on(rung), self.target.at(rung.height)
        levelled = self.log_weight * (1.0 if level else 0.5)
        log_weight = rung.log_weight(self.score, before).to(self.log_volume.dtype).view_as(self.root) + levelled
        total = log_weight.logsumexp(1)
        self.log_volume = self.log_volume + total - math.log(self.particles)
        weight = torch.where(total[:, None] > -torch.inf, (log_weight - total[:, None]).exp(), 1 / self.particles)
        order = torch.stack([self._uniforms(each) for each in self.generators]).argsort(1)
        start = torch.stack([self._uniforms(each)[:1] for each in self.generators])
        parent = order.gather(1, systematic(weight.gather(1, order), start, self.particles))
        self.root = self.root.gather(1, parent)
        self.log_weight = (self.log_weight - levelled).gather(1, parent)
        offsets = torch.arange(len(self.generators), device=parent.device)[:, None] * self.particles
        columns = (parent + offsets).flatten()
        self.normals = taken(self.normals, columns)
        self.score = self.score[columns]

    def move(self, rung: Rung, angles: Sequence[float]) -> Float[Tensor, " block"]:
        """One step of every block of every particle, each of its own angle, that leaves the prior as it is.

        Returns the share of accepted proposals in each block.
        """
        sweep, accepted = self.target.sweep(self.normals), []
        for place, (rows, angle) in enumerate(zip(self.target.blocks, angles, strict=True)):
            if place:
                sweep.advance()
            accepted.append(self._move_block(sweep, rung, rows, angle))
        return torch.stack(accepted)

    def _move_block(self, sweep: ScoreSweep, rung: Rung, rows: slice, angle: float) -> Float[Tensor, ""]:
        size: float | Tensor = angle
        if rung.spread:
            size = (angle * (rung.spread * self._column_normals()).exp()).clamp(max=math.pi / 2).to(self.normals.dtype)
        own = self.normals[rows]
        proposal = self.target.propose(own, size, self.generators)
        score = sweep.score(proposal)
        accept = rung.accept(score, self.score, self._column_uniforms)
        torch.where(accept, proposal, own, out=own)
        self.score = torch.where(accept, score, self.score)
        return accept.float().mean()

    def refresh(self, rung: Rung) -> None:
        """Move every particle as the target knows how, without proposals: at a fixed score, or drawing layers anew."""
        parts = self.normals.chunk(len(self.generators), dim=1)
        fresh = [self.target.refresh(part, each) for part, each in zip(parts, self.generators, strict=True)]
        if all(new is old for new, old in zip(fresh, parts, strict=True)):
            return
        proposal = torch.cat(fresh, dim=1)
        score = self.target.score(proposal)
        # Rounding must not carry a particle over the rung's edge.
        inside = rung.log_weight(score) > -torch.inf
        self.normals = torch.where(inside, proposal, self.normals)
        self.score = torch.where(inside, score, self.score)

    def settle(self, rung: Rung, normals: Float[Tensor, "latent column"], score: Float[Tensor, " column"]) -> None:
        """Score whole columns, which a pass over layers rounds otherwise; who is outside the rung by that goes back."""
        whole = self.target.score(self.normals)
        inside = rung.log_weight(whole) > -torch.inf
        torch.where(inside, self.normals, normals, out=self.normals)
        self.score = torch.where(inside, whole, score)

    def spread(self, count: int) -> Int[Tensor, " column"]:
        """So many columns of each island, at even distances."""
        own = torch.arange(count, device=self.root.device) * self.particles // count
        first = torch.arange(len(self.generators), device=self.root.device)[:, None] * self.particles
        return (first + own).flatten()

    def ancestors(self) -> Float[Tensor, " island"]:
        """How many of the first draws of each island still have descendants."""
        present = torch.zeros_like(self.root).scatter_(1, self.root, 1)
        return present.sum(1).to(self.log_volume.dtype)

    def share_below(self, threshold: float) -> Float[Tensor, " island"]:
        """The share of the weight of each island that scores below a threshold."""
        weight = self.log_weight.exp()
        return (weight * (self.score < threshold).view_as(self.root)).sum(1) / weight.sum(1)

    def island_means(
        self, values: Float[Tensor, " column"], among: Bool[Tensor, " column"] | None = None
    ) -> Float[Tensor, " island"]:
        """The weighted mean of a quantity over the particles of each island where it is finite; ``among`` some."""
        each = values.to(self.log_volume.dtype).view_as(self.root)
        counted = each.isfinite() if among is None else each.isfinite() & among.view_as(self.root)
        weight = torch.where(counted, self.log_weight.exp(), 0.0)
        return (weight * torch.where(each.isfinite(), each, 0.0)).sum(1) / weight.sum(1)

    def _column_uniforms(self) -> Float[Tensor, " column"]:
        return torch.cat([self._uniforms(each) for each in self.generators])

    def _column_normals(self) -> Float[Tensor, " column"]:
        device = self.root.device
        exact = exact_dtype(device)
        draws = [torch.randn(self.particles, generator=g, device=device, dtype=exact) for g in self.generators]
        return torch.cat(draws)

    def _uniforms(self, each: torch.Generator) -> Float[Tensor, " particle"]:
        # Double precision where there is one: ties among short keys would be broken by position.
        device = self.root.device
        return torch.rand(self.particles, generator=each, device=device, dtype=exact_dtype(device))


def systematic(
    weight: Float[Tensor, "island particle"], start: Float[Tensor, "island one"], count: int
) -> Int[Tensor, "island copy"]:
    """Positions with equal gaps and one random start in each island, looked up among cumulated weights."""
    edges = weight.cumsum(1)
    gaps = torch.arange(count, device=weight.device, dtype=weight.dtype)
    places = (start + gaps) / count * edges[:, -1:]
    # Rounding must not lead past the last particle that has weight.
    last = (edges < edges[:, -1:]).sum(1, keepdim=True)
    return torch.searchsorted(edges, places, right=True).minimum(last)


def exact_dtype(device: torch.device) -> torch.dtype:
    """Double precision, but on Apple's GPUs, which have none."""
    return torch.float32 if device.type == "mps" else torch.float64
