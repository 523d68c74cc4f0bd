"""Pool independent islands into one posterior, one volume and one ε-curve, with errors from their spread."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from bayesgc.correlated import ENOUGH_ISLANDS
from bayesgc.inference.curve import Candidate, Profile, Stage, join
from bayesgc.inference.estimates import log_mean, shares, summarize_weighted, weighted_mean
from bayesgc.inference.records import Curve, Draws, Estimate, Levels, Summary
from bayesgc.inference.request import LOG_VOLUME_ERROR, Request
from bayesgc.inference.streams import Stream, generator


@dataclass(frozen=True)
class LevelRecord:
    """What one island saw on one rung, after its moves."""

    log_volume: float
    primary: float
    acceptance: float
    ancestors: float


@dataclass(frozen=True)
class IslandRecord:
    """One finished island: its levels from the prior on, and those of its ``particles`` that are kept of the last rung.

    ``readings`` holds log volume and mean generalisation below other thresholds than those of the levels; ``profiles``
    holds, where the target has them, the profile and the scores of the particles on each level.
    """

    levels: list[LevelRecord]
    vectors: Float[Tensor, "entry particle"]
    quantities: dict[str, Float[Tensor, "particle *rest"]]
    expected: dict[str, Float[Tensor, " particle"]]
    weights: dict[str, Shaped[Tensor, "particle *site"]] | None
    particles: int | None = None
    readings: dict[float, tuple[float, float]] = field(default_factory=dict)
    profiles: list[tuple[Profile, Float[np.ndarray, " particle"]]] = field(default_factory=list)

    @property
    def log_volume(self) -> float:
        """The island's own estimate of the log volume; −inf when it had no survivors."""
        return self.levels[-1].log_volume

    def mean(self, name: str) -> float:
        """The mean of a quantity over the particles, by its conditional expectations where they are known."""
        return float(self.expected.get(name, self.quantities[name]).double().mean())


def pool_levels(thresholds: list[float], islands: list[IslandRecord]) -> Levels:
    """The curve of all islands over the thresholds of their levels, the prior's first."""
    table = np.array(
        [[[lv.log_volume, lv.primary, lv.acceptance, lv.ancestors] for lv in island.levels] for island in islands]
    )
    volumes = [log_mean(table[:, level, 0]) for level in range(table.shape[1])]
    losses = [weighted_mean(table[:, level, 1], table[:, level, 0]) for level in range(table.shape[1])]
    return Levels(
        threshold=np.array(thresholds),
        log_volume=_column([each.value for each in volumes]),
        log_volume_mcse=_column([each.mcse for each in volumes]),
        primary=_column([each.value for each in losses]),
        primary_mcse=_column([each.mcse for each in losses]),
        acceptance=table[:, :, 2].mean(0),
        ancestors=table[:, :, 3].mean(0),
    )


def pool_readings(islands: list[IslandRecord]) -> Curve | None:
    """The volume and the mean generalisation of all islands at the thresholds that the task wants to know of."""
    if not islands or not islands[0].readings:
        return None
    thresholds = sorted(islands[0].readings, reverse=True)
    table = np.array([[island.readings[each] for each in thresholds] for island in islands])
    volumes = [log_mean(table[:, place, 0]) for place in range(len(thresholds))]
    losses = [weighted_mean(table[:, place, 1], table[:, place, 0]) for place in range(len(thresholds))]
    return Curve(np.array(thresholds), volumes, losses)


def pool_end(islands: list[IslandRecord]) -> Candidate:
    """Log volume and mean generalisation on the last rung."""
    volumes = np.array([island.log_volume for island in islands])
    losses = np.array([island.levels[-1].primary for island in islands])
    return Candidate(log_mean(volumes), weighted_mean(losses, volumes))


def pool_stages(heights: list[float], islands: list[IslandRecord]) -> list[Stage]:
    """The laws of the levels, prior first, for the ε-curve; ``heights`` are variances of noise on the measurements."""
    stages = []
    for level, height in enumerate(heights):
        profiles, scores = zip(*(island.profiles[level] for island in islands), strict=True)
        volumes = np.array([island.levels[level].log_volume for island in islands])
        stages.append(Stage(join(profiles), np.stack(scores), volumes, height))
    return stages


def pool_log_volume(islands: list[IslandRecord], *, reached: bool) -> Estimate:
    """The log volume; when ε was not reached, only the bound by the last threshold that was."""
    for level in range(len(islands[0].levels) if islands else 0, 0, -1):
        estimate = log_mean(np.array([island.levels[level - 1].log_volume for island in islands]))
        if estimate.value is not None:
            complete = reached and level == len(islands[0].levels)
            return estimate if complete else Estimate(None, None, (None, min(0.0, estimate.ci95[1])))
    return Estimate(None, None, (None, 0.0))


def precise_enough(islands: list[IslandRecord], request: Request, primary: str) -> bool:
    """Whether enough islands say so, and log volume and the mean of ``primary`` are known as well as asked for."""
    log_volumes = np.array([island.log_volume for island in islands])
    volume = log_mean(log_volumes)
    if not islands or volume.mcse is None or volume.mcse > LOG_VOLUME_ERROR:
        return False
    if 1 / np.sum(shares(log_volumes) ** 2) < ENOUGH_ISLANDS:
        return False
    if primary not in islands[0].quantities:
        return True
    loss = weighted_mean(_means(islands, primary), log_volumes)
    return loss.value is not None and loss.mcse is not None and loss.mcse <= request.relative_error * loss.value


def pool_posterior(shape: tuple[int, ...], islands: list[IslandRecord], request: Request) -> Draws | None:
    """Equally weighted draws: every island fills slots in proportion to its volume, its own chain first.

    ``sample_stats`` says which island each draw came from. None when no island reached the threshold.
    """
    log_volumes = np.array([island.log_volume for island in islands])
    if not np.isfinite(log_volumes).any():
        return None
    particles = islands[0].vectors.shape[1]
    island, particle = _deal(log_volumes, particles, request.kept(len(islands), particles), request.seed)
    source = torch.from_numpy(island), torch.from_numpy(particle)
    held = {name: _gather([each.quantities[name] for each in islands], source) for name in islands[0].quantities}
    matrices = _gather([each.vectors.T for each in islands], source).unflatten(-1, shape)
    summaries = {name: _summary(islands, name, log_volumes) for name, values in held.items() if values.ndim == 2}
    stats = {"island": source[0], "island_log_volume": torch.from_numpy(log_volumes)[source[0]]}
    return Draws(matrices, held, summaries, stats, _weights(islands, source))


def diagnose(islands: list[IslandRecord]) -> dict[str, float | int | str]:
    """How the islands fared: those lost, and acceptance and surviving ancestors on the last rung."""
    facts: dict[str, float | int | str] = {"islands": len(islands)}
    if islands:
        last = [island.levels[-1] for island in islands]
        facts["particles"] = islands[0].particles or islands[0].vectors.shape[1]
        facts["levels"] = len(islands[0].levels) - 1
        facts["islands_lost"] = sum(level.log_volume == -np.inf for level in last)
        facts["acceptance"] = sum(level.acceptance for level in last) / len(last)
        facts["ancestors"] = sum(level.ancestors for level in last) / len(last)
    return facts


def _deal(
    log_volumes: Float[np.ndarray, " island"], particles: int, draws: int, seed: int
) -> tuple[Int[np.ndarray, "chain draw"], Int[np.ndarray, "chain draw"]]:
    """Which island, and which of its particles, fills each slot."""
    chains = len(log_volumes)
    edges = np.round(np.cumsum(shares(log_volumes)) * chains * draws).astype(int)
    counts = np.diff(edges, prepend=0)
    hands = []
    for index, count in enumerate(counts):
        order = torch.randperm(particles, generator=generator(seed, Stream.RESAMPLE, index, torch.device("cpu")))
        hands.append(np.stack([np.full(count, index), np.resize(order.numpy(), count)]))
    surplus = np.concatenate([hand[:, draws:] for hand in hands], axis=1)
    filled = []
    for hand in hands:
        own = hand[:, :draws]
        missing = draws - own.shape[1]
        filled.append(np.concatenate([own, surplus[:, :missing]], axis=1))
        surplus = surplus[:, missing:]
    island, particle = np.stack(filled, axis=1)
    return island, particle


def _gather(parts: list[Float[Tensor, "particle *rest"]], source: tuple[Tensor, Tensor]) -> Tensor:
    return torch.stack(parts)[source]


def _weights(islands: list[IslandRecord], source: tuple[Tensor, Tensor]) -> dict[str, Tensor] | None:
    sites = [each.weights for each in islands if each.weights is not None]
    return {name: _gather([each[name] for each in sites], source) for name in sites[0]} if sites else None


def _means(islands: list[IslandRecord], name: str) -> Float[np.ndarray, " island"]:
    return np.array([island.mean(name) for island in islands])


def _summary(islands: list[IslandRecord], name: str, log_volumes: Float[np.ndarray, " island"]) -> Summary:
    """Of every particle, which weighs as its island does."""
    alive = np.isfinite(log_volumes)
    kept = [island.quantities[name].double() for island, lives in zip(islands, alive, strict=True) if lives]
    values = torch.stack(kept).numpy()
    weights = np.broadcast_to(shares(log_volumes[alive])[:, None], values.shape)
    mean_and_error = _mean_and_error(_means(islands, name), log_volumes)
    return summarize_weighted(values.ravel(), weights.ravel(), *mean_and_error)


def _mean_and_error(
    means: Float[np.ndarray, " island"], log_volumes: Float[np.ndarray, " island"]
) -> tuple[float, float]:
    estimate = weighted_mean(means, log_volumes)
    known = estimate.value is not None and estimate.mcse is not None
    return (estimate.value, estimate.mcse) if known else (float(means[0]), float("inf"))  # type: ignore[return-value]


def _column(values: list[float | None]) -> Float[np.ndarray, " level"]:
    return np.array([np.nan if value is None else value for value in values])
