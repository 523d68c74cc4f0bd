"""Islands of particles that descend through thresholds on the training loss.

The building blocks of multilevel splitting. Particles are columns of standard normals, so the preconditioned
Crank–Nicolson move (Cotter, Roberts, Stuart and White 2013) leaves the prior invariant, and accepting it exactly when
the loss stays below the threshold leaves the prior *given* that event invariant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bayesgc.inference.criterion import Criterion
from bayesgc.inference.streams import Stream, generator


@dataclass
class Islands:
    """A group of islands that advance together; island i holds the columns i·particles to (i + 1)·particles.

    ``root`` is the index of each particle's ancestor among the first draws of its island.
    """

    criterion: Criterion
    generators: list[torch.Generator]
    normals: Float[Tensor, "latent column"]
    loss: Float[Tensor, " column"]
    root: Int[Tensor, "island particle"]
    log_volume: Float[Tensor, " island"]

    @classmethod
    def from_prior(cls, criterion: Criterion, particles: int, seed: int, stream: Stream, blocks: list[int]) -> Islands:
        """Fresh draws from the prior, one island for each block of the stream."""
        device = criterion.device
        generators = [generator(seed, stream, block, device) for block in blocks]
        normals = torch.cat([criterion.draw(each, particles) for each in generators], dim=1)
        return cls(
            criterion,
            generators,
            normals,
            criterion.train_loss(normals),
            torch.arange(particles, device=device).expand(len(blocks), -1),
            torch.zeros(len(blocks), dtype=_exact(device), device=device),
        )

    @property
    def particles(self) -> int:
        """Particles in each island."""
        return self.root.shape[1]

    def select(self, threshold: float) -> None:
        """Keep the particles below the threshold, fill up with their copies, and count the share into the volume.

        Each survivor gets the same number of copies but for one, dealt in random order, so the count stays unbiased.
        An island without survivors keeps its particles and has volume zero from here on.
        """
        alive = (self.loss < threshold).view_as(self.root)
        count = alive.sum(1)
        self.log_volume = self.log_volume + (count.to(self.log_volume.dtype) / self.particles).log()
        keys = torch.stack([self._uniforms(each) for each in self.generators])
        shuffled = torch.where(alive, keys, 2.0).argsort(1)
        places = torch.arange(self.particles, device=self.root.device) % count.clamp(min=1)[:, None]
        parent = shuffled.gather(1, places)
        self.root = self.root.gather(1, parent)
        offsets = torch.arange(len(self.generators), device=parent.device)[:, None] * self.particles
        columns = (parent + offsets).flatten()
        self.normals = self.normals[:, columns]
        self.loss = self.loss[columns]

    def move(self, threshold: float, angle: float) -> Float[Tensor, ""]:
        """One preconditioned Crank–Nicolson step of every particle; returns the share of accepted proposals."""
        noise = [self.criterion.draw(each, self.particles) for each in self.generators]
        proposal = noise[0] if len(noise) == 1 else torch.cat(noise, dim=1)
        proposal.mul_(math.sin(angle)).add_(self.normals, alpha=math.cos(angle))
        loss = self.criterion.train_loss(proposal)
        accept = loss < threshold
        torch.where(accept, proposal, self.normals, out=self.normals)
        self.loss = torch.where(accept, loss, self.loss)
        return accept.float().mean()

    def ancestors(self) -> Float[Tensor, " island"]:
        """How many of the first draws of each island still have descendants."""
        present = torch.zeros_like(self.root).scatter_(1, self.root, 1)
        return present.sum(1).to(self.log_volume.dtype)

    def island_means(self, values: Float[Tensor, " column"]) -> Float[Tensor, " island"]:
        """The mean of a quantity over the particles of each island."""
        return values.to(self.log_volume.dtype).view_as(self.root).mean(1)

    def _uniforms(self, each: torch.Generator) -> Float[Tensor, " particle"]:
        # Double precision where there is one: ties among short keys would be broken by position.
        device = self.root.device
        return torch.rand(self.particles, generator=each, device=device, dtype=_exact(device))


def _exact(device: torch.device) -> torch.dtype:
    """Double precision, but on Apple's GPUs, which have none."""
    return torch.float32 if device.type == "mps" else torch.float64
