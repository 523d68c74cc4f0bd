"""Rejection: literal Guess & Check. Draw weights from the prior, keep those below the threshold.

Source: Alexander et al. 2025, section 3. The method to trust where the volume allows it, and the one that the others
are measured against.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bayesgc.correlated import ErrorRule
from bayesgc.inference.control import Control, OutOfTime, Progress, in_order
from bayesgc.inference.criterion import Criterion, evaluate_together
from bayesgc.inference.estimates import binomial_log_volume, student_interval, summarize_independent
from bayesgc.inference.methods import Method, register_method
from bayesgc.inference.records import Curve, Draws, Estimate, Levels, Outcome, Run
from bayesgc.inference.request import LOG_VOLUME_ERROR, Request
from bayesgc.inference.streams import Stream, generator
from bayesgc.moments import FEWEST, believable, tail_shape
from bayesgc.validate import positive_integer

_BLOCK = {"cpu": 2**13, "cuda": 2**20, "mps": 2**18}
"""Draws in a block, the unit of drawing and evaluation."""
FEWEST_ACCEPTED = FEWEST
"""Accepted draws without which a run does not count as converged: with fewer nothing can be said of the tail of what is
averaged, and a part of the posterior that holds one draw in a hundred is missed by more than one run in eight."""
_CHECK_GROWTH = 1.2
"""The run looks whether it is precise enough at block counts that grow by this factor: rarely, since stopping at a
lucky moment makes errors look small."""


@register_method
@dataclass(frozen=True)
class Rejection(Method):
    """Plain rejection from the prior.

    Args:
        batch: blocks handed to a worker at once; changes the speed and no bit of the result.
    """

    batch: int = 4
    name: ClassVar[str] = "rejection"
    defaults: ClassVar[Request] = Request(precision=0.05, chains=4, draws=1000)
    errors: ClassVar[ErrorRule] = ErrorRule.INDEPENDENT
    shared_draws: ClassVar[bool] = True
    usual_evaluations: ClassVar[float] = 1e8

    def __post_init__(self) -> None:
        positive_integer("batch", self.batch)

    def run(self, criterion: Criterion, request: Request, control: Control) -> Run:
        """Draw until the errors are small enough or the budget is spent."""
        [run] = self.run_together([criterion], request, control)
        return run

    def run_together(
        self, criteria: Sequence[Criterion], request: Request, control: Control, spent: Sequence[int] = ()
    ) -> list[Run]:
        """`run` for several criteria that share the law of the weights, with one set of draws.

        ``spent`` are the evaluations that each has behind it; none, unless it is given.
        Each stops by its own rule and gets the bits that it would get alone; but their errors are not independent.
        """
        for criterion in criteria:
            criterion.check_resolved()
        request = request.filled(self.defaults)
        harvests = [_Harvest(request, criterion.eps, criterion.task.primary) for criterion in criteria]
        for blocks in self._blocks(criteria, harvests, request, control, spent or [0] * len(criteria)):
            for harvest, block in zip(harvests, blocks, strict=True):
                if block is not None and not harvest.converged:
                    harvest.add(block)
                    harvest.converged = harvest.time_to_check() and harvest.precise_enough()
            control.report(_progress(harvests))
            if all(harvest.converged for harvest in harvests):
                break
        return [self._record(*each, control) for each in zip(criteria, harvests, strict=True)]

    def _record(self, criterion: Criterion, harvest: _Harvest, control: Control) -> Run:
        # A last look: a stop that the budget sets is no lucky moment.
        enough = harvest.converged or (not control.interrupted and harvest.precise_enough())
        outcome = Outcome.CONVERGED if enough else control.failure()
        posterior = harvest.draws(criterion)
        return Run(
            method=self.name,
            errors=self.errors,
            outcome=outcome,
            message=control.advice(outcome, harvest.total, _BLOCK[criterion.device.type], fitted=posterior is not None),
            eps=criterion.eps,
            posterior=posterior,
            log_volume=harvest.log_volume(),
            log_evidence=None,
            levels=harvest.levels(),
            diagnostics={"accepted": harvest.accepted, "draws": harvest.total},
            evaluations=harvest.total,
            curve=harvest.curve(criterion),
            seconds=control.seconds,
        )

    def _blocks(
        self,
        criteria: Sequence[Criterion],
        harvests: list[_Harvest],
        request: Request,
        control: Control,
        spent: Sequence[int],
    ) -> Iterator[list[_Block | None]]:
        """Block by block, what each criterion that still needs draws accepted."""
        device = criteria[0].device
        size = _BLOCK[device.type]

        def one_batch(first: int) -> list[list[_Block | None]]:
            blocks = []
            going = [not harvest.converged for harvest in harvests]
            for index in range(first, first + self.batch):
                draws = [
                    control.affordable(size, before + index * size) if each else 0
                    for each, before in zip(going, spent, strict=True)
                ]
                if control.out_of_time() or not any(draws):
                    break
                try:
                    blocks.append(_try_block(criteria, draws, request, index, size))
                except OutOfTime:
                    break
            return blocks

        for blocks in in_order(one_batch, count(0, self.batch), device):
            yield from blocks
            if len(blocks) < self.batch:
                return


@dataclass(frozen=True)
class _Block:
    """The survivors of one block of draws, and how many of them are below the thresholds that the task asks of."""

    total: int
    vectors: Float[Tensor, "entry survivor"]
    normals: Float[Tensor, "latent survivor"] | None
    quantities: dict[str, Float[Tensor, "survivor *rest"]]
    below: Int[np.ndarray, " threshold"]


@torch.no_grad()
def _try_block(
    criteria: Sequence[Criterion], draws: list[int], request: Request, index: int, size: int
) -> list[_Block | None]:
    """The survivors of one block for each criterion, None for those that need no more.

    ``draws`` says how many of the block each may evaluate: the first ones, whose bits do not depend on how many.
    """
    normals = criteria[0].draw(generator(request.seed, Stream.REJECTION, index, criteria[0].device), size)
    normals = normals[:, : max(draws)]
    wanting = [criterion for criterion, own in zip(criteria, draws, strict=True) if own]
    found = iter(evaluate_together(wanting, normals))
    return [
        _survivors(criterion, request, index, normals[:, :own], *(each[..., :own] for each in next(found)))
        if own
        else None
        for criterion, own in zip(criteria, draws, strict=True)
    ]


def _survivors(
    criterion: Criterion,
    request: Request,
    index: int,
    normals: Float[Tensor, "latent draw"],
    vectors: Float[Tensor, "entry draw"],
    loss: Float[Tensor, " draw"],
) -> _Block:
    survivors = (loss < criterion.eps).nonzero()[:, 0]
    kept, own = normals[:, survivors], vectors[:, survivors]
    source = generator(request.seed, Stream.HELD_OUT, index, criterion.device)
    found = criterion.measures(kept, own, [source], loss[survivors]) if len(survivors) else {}
    return _Block(
        len(loss),
        own.cpu(),
        kept.cpu() if request.weights else None,
        {name: values.cpu() for name, values in found.items()},
        np.array([int((loss < threshold).sum()) for threshold in _readings(criterion)], dtype=np.int64),
    )


def _readings(criterion: Criterion) -> list[float]:
    """The thresholds at and above ε that the task asks of."""
    above = criterion.task.readings(math.inf, criterion.eps)
    return [*above, *criterion.task.readings(criterion.eps, criterion.eps - 1)]


@dataclass
class _Harvest:
    """The survivors so far. Counts and sums are kept for all, matrices for as many as were asked for."""

    request: Request
    eps: float
    primary: str
    total: int = 0
    accepted: int = 0
    blocks: int = 0
    next_check: int = 1
    converged: bool = False
    kept: list[_Block] = field(default_factory=list)
    scalars: dict[str, list[np.ndarray]] = field(default_factory=dict)
    below: Int[np.ndarray, " threshold"] | int = 0

    @property
    def chains(self) -> int:
        return int(self.request.chains or 1)

    @property
    def wanted(self) -> int:
        return self.chains * self.request.kept(self.chains)

    def add(self, block: _Block) -> None:
        self.total += block.total
        self.below = self.below + block.below
        self.blocks += 1
        if block.vectors.shape[1] == 0:
            return
        if self.accepted < self.wanted:
            self.kept.append(block)
        self.accepted += block.vectors.shape[1]
        for name, values in block.quantities.items():
            if values.ndim == 1:
                self.scalars.setdefault(name, []).append(values.numpy())

    def time_to_check(self) -> bool:
        if self.blocks < self.next_check:
            return False
        self.next_check = max(self.blocks + 1, int(self.blocks * _CHECK_GROWTH))
        return True

    def precise_enough(self) -> bool:
        volume = self.log_volume()
        if self.accepted < FEWEST_ACCEPTED or volume.mcse is None or volume.mcse > LOG_VOLUME_ERROR:
            return False
        if self.primary not in self.scalars:
            return True
        losses = np.concatenate(self.scalars[self.primary])
        loss = summarize_independent(losses)
        return loss.mcse <= self.request.relative_error * loss.mean and believable(tail_shape(losses))

    def log_volume(self) -> Estimate:
        return binomial_log_volume(self.accepted, self.total) if self.total else Estimate(None, None, (None, 0.0))

    def draws(self, criterion: Criterion) -> Draws | None:
        """The kept survivors, dealt over chains: they are independent, so the chains are a mere arrangement."""
        if self.accepted == 0:
            return None
        chains = self.chains if self.accepted >= self.chains else 1
        length = min(self.accepted, self.wanted) // chains

        def arrange(values: Tensor) -> Tensor:
            return values[: chains * length].unflatten(0, (chains, length))

        vectors = torch.cat([block.vectors for block in self.kept], dim=1)
        return Draws(
            end_to_end=arrange(vectors.T).unflatten(-1, criterion.task.shape),
            quantities={
                name: arrange(torch.cat([block.quantities[name] for block in self.kept]))
                for name in self.kept[0].quantities
            },
            summaries={name: summarize_independent(np.concatenate(parts)) for name, parts in self.scalars.items()},
            weights=self._weights(criterion, arrange) if self.request.weights else None,
        )

    def _weights(self, criterion: Criterion, arrange: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        normals = torch.cat([block.normals for block in self.kept if block.normals is not None], dim=1)
        sites = criterion.whitened.weights(normals.to(criterion.device))
        return {name: arrange(values.cpu()) for name, values in sites.items()}

    def curve(self, criterion: Criterion) -> Curve | None:
        """The volume below the thresholds that the task asks of; how well draws generalise is known at ε alone."""
        thresholds = _readings(criterion)
        if not thresholds or not self.total:
            return None
        volumes = [binomial_log_volume(int(count), self.total) for count in np.atleast_1d(self.below)]
        unknown = Estimate(None, None, (None, math.inf))
        losses = self.scalars.get(self.primary)
        found = summarize_independent(np.concatenate(losses)) if losses else None
        at_eps = unknown if found is None else student_interval(found.mean, found.mcse, self.accepted - 1)
        known = [at_eps if each == self.eps else unknown for each in thresholds]
        return Curve(np.array(thresholds), volumes, known)

    def levels(self) -> Levels | None:
        """The one threshold that rejection knows."""
        volume = self.log_volume()
        if volume.value is None or volume.mcse is None:
            return None
        losses = self.scalars.get(self.primary)
        loss = summarize_independent(np.concatenate(losses)) if losses else None
        return Levels(
            threshold=np.array([self.eps]),
            log_volume=np.array([volume.value]),
            log_volume_mcse=np.array([volume.mcse]),
            primary=np.array([loss.mean if loss else np.nan]),
            primary_mcse=np.array([loss.mcse if loss else np.nan]),
            acceptance=np.array([self.accepted / self.total]),
            ancestors=np.array([float(self.accepted)]),
        )


def _progress(harvests: list[_Harvest]) -> Progress:
    harvest = min(harvests, key=lambda each: each.accepted)
    volume = harvest.log_volume()
    return Progress(
        Rejection.name,
        harvest.total,
        None,
        harvest.eps,
        harvest.accepted / harvest.total,
        volume.value,
        f"{harvest.accepted} accepted",
    )
