"""Draws that weigh differently: when to look at them, how many they are worth, and equally weighted ones from them.

Their columns are not kept: their stream brings back those that are wanted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bayesgc.correlated import resampled_size
from bayesgc.inference.estimates import summarize
from bayesgc.inference.records import Draws, Summary
from bayesgc.inference.request import Request
from bayesgc.inference.smoothing import pareto_shape, shape_limit
from bayesgc.inference.streams import Stream, generator
from bayesgc.inference.target import Harvest

FIRST_CHECK = 16
"""Blocks before the first look at the weights."""
FEWEST_BLOCKS = 64
"""Blocks before a run can end well. A first look may turn weights down, but it must not take them: where the tail is
heavy, it is the samples that lack large weights whose tails look light."""
MOST_BATCHES = 64


class WeightedSample:
    """The log weights of blocks of draws, all of one size."""

    def __init__(self, request: Request, device: torch.device, block: int) -> None:
        self.request, self.device, self.block = request, device, block
        self.parts: list[Float[np.ndarray, " draw"]] = []
        self.next_look = FIRST_CHECK

    @property
    def total(self) -> int:
        """Draws so far."""
        return len(self.parts) * self.block

    @property
    def log_weight(self) -> Float[np.ndarray, " draw"]:
        """All log weights."""
        return np.concatenate(self.parts) if self.parts else np.empty(0)

    @property
    def any_weight(self) -> bool:
        """Whether a draw so far weighs anything."""
        return any(np.isfinite(part).any() for part in self.parts)

    def time_to_look(self) -> bool:
        """At numbers of blocks that double: looking often would stop at lucky moments."""
        if len(self.parts) < self.next_look:
            return False
        self.next_look *= 2
        return True

    def batches(self) -> list[Int[np.ndarray, " block"]]:
        """Blocks dealt into batches of one size, so that they are alike; the few left over the error does without."""
        dealt = np.array_split(np.arange(len(self.parts)), min(MOST_BATCHES, len(self.parts)))
        size = min(len(part) for part in dealt)
        return [part[:size] for part in dealt]

    def batch_weights(self) -> Float[np.ndarray, "batch draw"]:
        """The log weights of each batch."""
        return np.stack([np.concatenate([self.parts[i] for i in batch]) for batch in self.batches()])

    def effective_size(self) -> float:
        """Kish's effective sample size."""
        weight = np.exp(self.log_weight - self.log_weight.max()) if self.any_weight else np.zeros(1)
        return float(weight.sum() ** 2 / max((weight**2).sum(), 1e-300))

    def shape(self) -> float:
        """k̂ of the tail of the weights."""
        return pareto_shape(self.log_weight)

    def shape_limit(self) -> float:
        """The largest k̂ at which errors can be relied on."""
        return shape_limit(self.total)

    def diagnostics(self) -> dict[str, float | int | str]:
        """Draws, effective sample size, and the tail shape with its limit."""
        if not self.parts:
            return {"draws": 0}
        return {
            "draws": self.total,
            "effective_sample_size": self.effective_size(),
            "pareto_k": self.shape(),
            "pareto_k_limit": self.shape_limit(),
        }

    def resample(self, size: int) -> Int[np.ndarray, " draw"]:
        """Systematic resampling by weight, as indices in rising order."""
        weight = np.exp(self.log_weight - self.log_weight.max())
        edges = np.cumsum(weight) / weight.sum()
        start = torch.rand(1, generator=self._source(0), dtype=torch.float64, device=self.device).item()
        places = (start + np.arange(size)) / size
        return np.minimum(np.searchsorted(edges, places, side="right"), np.flatnonzero(weight)[-1])

    def by_block(self, chosen: Int[np.ndarray, " draw"]) -> list[tuple[int, Int[Tensor, " column"]]]:
        """The blocks that hold chosen draws, and which of their columns these are."""
        return [
            (int(index), torch.as_tensor(chosen[chosen // self.block == index] % self.block, device=self.device))
            for index in np.unique(chosen // self.block)
        ]

    def arranged(self, parts: Sequence[Harvest], chains: int, length: int, shape: tuple[int, ...]) -> Draws | None:
        """Harvested draws in random order, dealt over chains: fewer where not all could be completed."""
        made = sum(part.vectors.shape[1] for part in parts)
        if made < chains * length:
            chains, length = (chains, made // chains) if made >= chains else (1, made)
        if not made:
            return None
        order = torch.randperm(made, generator=self._source(len(self.parts)), device=self.device)

        def arrange(values: list[Tensor]) -> Tensor:
            return torch.cat(values)[order.cpu()[: chains * length]].unflatten(0, (chains, length))

        held = {name: arrange([part.quantities[name] for part in parts]) for name in parts[0].quantities}
        sites = [part.weights for part in parts if part.weights is not None]
        return Draws(
            end_to_end=arrange([part.vectors.T for part in parts]).unflatten(-1, shape),
            quantities=held,
            summaries={name: self.summary(name, v.numpy().ravel()) for name, v in held.items() if v.ndim == 2},
            weights={name: arrange([site[name] for site in sites]) for name in sites[0]} if sites else None,
        )

    def summary(self, name: str, values: Float[np.ndarray, " draw"]) -> Summary:
        """The summary of a quantity of equally weighted draws, its error by how many draws the weights are worth."""
        size = resampled_size(len(values), self.effective_size())
        return summarize(values, float(values.mean()), float(values.std() / max(size, 1.0) ** 0.5))

    def _source(self, block: int) -> torch.Generator:
        return generator(self.request.seed, Stream.RESAMPLE, block, self.device)
