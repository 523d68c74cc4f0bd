"""Collapsed importance sampling: the posterior at exactly zero training loss, or in the ball at ε > 0.

Hidden layers come from the prior, weighted by the density of the measurements given them; the last layer is then drawn
from its exact conditional. Where the weights degenerate the same density is tempered over islands of particles.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int

from bayesgc.correlated import ErrorRule
from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.inference.collapsed.tempering import Tempering
from bayesgc.inference.control import Control, OutOfTime, Progress, in_order
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.curve import Profile, Stage, join, pool_curve
from bayesgc.inference.estimates import log_mean, summarize, weighted_mean
from bayesgc.inference.methods import CollapsedMethod, register_method
from bayesgc.inference.records import Draws, Estimate, Levels, Outcome, Run, Summary
from bayesgc.inference.request import LOG_VOLUME_ERROR, Request
from bayesgc.inference.smoothing import pareto_shape
from bayesgc.inference.streams import Stream, generator
from bayesgc.inference.target import Harvest
from bayesgc.inference.weighted import FEWEST_BLOCKS, FIRST_CHECK, MOST_BATCHES, WeightedSample
from bayesgc.models.placement import exact_device
from bayesgc.validate import positive_integer

BLOCK, BLOCK_OF_LARGE = 1024, 64
"""Draws in a block, the unit of drawing and evaluation. Of systems so large that few are solved at once they are fewer,
so that weights that will not do are turned down soon; to take them needs as many draws as ever."""
_TRIAL = 0.25
"""The part of the time within which the first look must come, where another method could have the rest."""
_COMPLETION = 0.1
"""The part of the time that is kept back for completing the weighted draws."""


@register_method
@dataclass(frozen=True)
class Importance(CollapsedMethod):
    """Collapsed importance sampling, with tempering where plain weights do not suffice.

    Args:
        most_draws: plain draws beyond which tempering is the better use of time.
        tempering: how to go on when the weights degenerate.
    """

    most_draws: int = 2**18
    tempering: Tempering = field(default_factory=Tempering)
    name: ClassVar[str] = "importance"
    defaults: ClassVar[Request] = Request(precision=0.01, chains=16, draws=1000)
    errors: ClassVar[ErrorRule] = ErrorRule.WEIGHTS
    usual_evaluations: ClassVar[float] = 2e4

    def __post_init__(self) -> None:
        positive_integer("most_draws", self.most_draws)

    def run(self, criterion: Criterion, request: Request, control: Control) -> Run:
        """Condition the collapsed prior on the fit."""
        sample = self._sample(criterion, request)
        run = self._weigh(sample, control, control.part(_COMPLETION))
        return self._temper(sample, control) if run is None else run

    def plain(self, criterion: Criterion, request: Request, control: Control) -> tuple[Run | None, int]:
        """The run with plain weights, or None, after a short pilot, where they do not suffice; and the draws spent.

        They do not suffice either where a quarter of the time does not bring the first look at them.
        """
        sample, trial = self._sample(criterion, request), control.part(1 - _TRIAL)
        run = self._weigh(sample, control, trial)
        late = len(sample.blocks) < FIRST_CHECK and trial.out_of_time() and not control.interrupted
        return None if late else run, sample.total

    def _sample(self, criterion: Criterion, request: Request) -> _Sample:
        return _Sample(self.target(criterion, exact_device(criterion.device)), request.filled(self.defaults))

    def _weigh(self, sample: _Sample, control: Control, trial: Control) -> Run | None:
        """Weighted draws until the errors are small enough; None where the weights will not do.

        ``trial`` has the time for the draws before the first look.
        """
        for block in self._blocks(sample, control.part(_COMPLETION), trial):
            sample.add(block)
            if not sample.time_to_look():
                continue
            control.report(sample.progress())
            if sample.precise_enough():
                return self._record(sample, Outcome.CONVERGED, control)
            if sample.hopeless(self.most_draws):
                return None
        # A last look: a stop that the budget sets is no lucky moment.
        enough = not control.interrupted and sample.precise_enough()
        return self._record(sample, Outcome.CONVERGED if enough else control.failure(), control)

    def _temper(self, sample: _Sample, control: Control) -> Run:
        # Plain draws need no second chain, errors from islands do.
        request = replace(sample.request, chains=max(int(sample.request.chains or 1), 2))
        run = self.tempering.run(sample.target, request, control.after(sample.total))
        plain = {f"plain_{name}": value for name, value in sample.diagnostics().items()}
        spent = run.evaluations + sample.total
        return replace(run, method=self.name, diagnostics=run.diagnostics | plain, evaluations=spent)

    @staticmethod
    def _blocks(sample: _Sample, control: Control, trial: Control) -> Iterator[_Block]:
        def one_block(index: int) -> _Block | None:
            own = trial if index < FIRST_CHECK else control
            if own.out_of_time() or not own.affords((index + 1) * sample.block):
                return None
            try:
                return _weigh_block(replace(sample.target, check=own.check), sample.request.seed, index, sample.block)
            except OutOfTime:
                return None

        for block in in_order(one_block, count(), sample.target.device):
            if block is None:
                return
            yield block

    def _record(self, sample: _Sample, outcome: Outcome, control: Control) -> Run:
        evidence = sample.log_evidence()
        exact = sample.target.eps == 0
        nothing = Estimate(None, None, (None, 0.0))
        return Run(
            method=self.name,
            errors=self.errors,
            outcome=outcome,
            message=control.advice(outcome, sample.total, sample.block),
            eps=sample.target.eps,
            posterior=sample.draws(control),
            log_volume=None if exact else evidence or nothing,
            log_evidence=evidence if exact else None,
            levels=sample.curve(),
            diagnostics={"path": "plain weights", **sample.diagnostics()},
            evaluations=sample.total,
            seconds=control.seconds,
            importance=sample.raw(),
        )


@dataclass(frozen=True)
class _Block:
    """The log weights of one block of draws, E[L_gen] given each where it is defined, and both at other thresholds."""

    log_weight: Float[np.ndarray, " draw"]
    gen_loss: Float[np.ndarray, " draw"] | None
    profile: Profile


@torch.no_grad()
def _weigh_block(target: CollapsedCriterion, seed: int, index: int, size: int) -> _Block:
    normals = target.draw(generator(seed, Stream.IMPORTANCE, index, target.device), size)
    profile = target.profile(normals, [generator(seed, Stream.CURVE, index, target.device)])
    radius = (target.task.measurements.count * target.eps) ** 0.5
    loss = None if profile.loss is None else profile.gen_loss(radius)
    return _Block(profile.log_density(radius) + target.log_ball, loss, profile)


class _Sample(WeightedSample):
    """The weighted draws so far, with what each says of E[L_gen] and of other thresholds."""

    def __init__(self, target: CollapsedCriterion, request: Request) -> None:
        super().__init__(request, target.device, BLOCK_OF_LARGE if target.large else BLOCK)
        self.target = target
        self.blocks: list[_Block] = []

    @property
    def gen_loss(self) -> Float[np.ndarray, " draw"] | None:
        """E[L_gen] given each draw."""
        losses = [block.gen_loss for block in self.blocks if block.gen_loss is not None]
        return np.concatenate(losses) if losses else None

    def add(self, block: _Block) -> None:
        """Take in one more block."""
        self.blocks.append(block)
        self.parts.append(block.log_weight)

    def log_evidence(self) -> Estimate | None:
        """The evidence or the volume, its error from independent batches."""
        estimate = log_mean(self._batches()[0]) if len(self.blocks) > 1 else None
        return estimate if estimate is not None and estimate.value is not None else None

    def mean_gen_loss(self) -> Estimate | None:
        """E[L_gen | fit], its error from independent batches."""
        weights, means = self._batches()
        return None if means is None or len(weights) < 2 else weighted_mean(means, weights)

    def precise_enough(self) -> bool:
        """Whether the errors are small enough and the weights are fit to tell."""
        if self.total < FEWEST_BLOCKS * BLOCK:
            return False
        evidence, loss = self.log_evidence(), self.mean_gen_loss()
        if evidence is None or evidence.mcse is None or evidence.mcse > LOG_VOLUME_ERROR:
            return False
        if self.shape() > self.shape_limit():
            return False
        if loss is None:
            return self.effective_size() * self.request.relative_error**2 >= 1
        return loss.value is not None and loss.mcse is not None and self._error_share(loss) <= 1

    def hopeless(self, most: int) -> bool:
        """Whether plain weights will not do: their tail is too heavy, or it would take too many draws."""
        loss = self.mean_gen_loss()
        if self.shape() > self.shape_limit() or self.total >= most:
            return True
        share = (
            self._error_share(loss)
            if loss is not None
            else 1 / (self.request.relative_error * max(self.effective_size(), 1e-9) ** 0.5)
        )
        return self.total * share**2 > most

    def _error_share(self, loss: Estimate) -> float:
        if loss.value is None or loss.mcse is None:
            return np.inf
        return loss.mcse / (self.request.relative_error * loss.value)

    def shape(self) -> float:
        """The larger k̂ of the weights and of the weights times E[L_gen]."""
        shapes = [super().shape()]
        if self.gen_loss is not None:
            shapes.append(pareto_shape(self.log_weight + np.log(np.maximum(self.gen_loss, 1e-300))))
        return max(shapes)

    def _batches(self) -> tuple[Float[np.ndarray, " batch"], Float[np.ndarray, " batch"] | None]:
        """log mean weight of each batch and the weighted mean of L_gen in it."""
        log_weight = self.batch_weights()
        top = np.logaddexp.reduce(log_weight, axis=1)
        if self.gen_loss is None:
            return top - np.log(log_weight.shape[1]), None
        losses = np.stack([np.concatenate([self._loss(int(i)) for i in batch]) for batch in self.batches()])
        share = np.where(np.isfinite(top)[:, None], np.exp(log_weight - top[:, None]), 0.0)
        return top - np.log(log_weight.shape[1]), (share * np.where(share > 0, losses, 0.0)).sum(1)

    def curve(self) -> Levels | None:
        """The ε-curve, with errors from the same batches; None where there are too few of them."""
        if len(self.blocks) < FIRST_CHECK:
            return None
        size = len(self.blocks) // min(MOST_BATCHES, len(self.blocks)) * self.block
        groups = self.total // size
        whole = join([block.profile for block in self.blocks]).part(slice(groups * size))
        stage = Stage(whole, np.zeros((groups, size)), np.zeros(groups))
        return pool_curve([stage], self.target.task, self.target.eps)

    def _loss(self, index: int) -> Float[np.ndarray, " draw"]:
        loss = self.blocks[index].gen_loss
        return np.full(self.block, np.nan) if loss is None else loss

    def progress(self) -> Progress:
        """What to show while it goes on."""
        evidence = self.log_evidence()
        value = None if evidence is None else evidence.value
        return Progress(Importance.name, self.total, None, None, None, value, f"ESS {self.effective_size():.0f}")

    def raw(self) -> dict[str, Float[np.ndarray, " draw"]]:
        """The weighted draws, for whoever wants the weights themselves."""
        losses = self.gen_loss
        return {"log_weight": self.log_weight} | ({} if losses is None else {"gen_loss": losses})

    @torch.no_grad()
    def draws(self, control: Control) -> Draws | None:
        """Equally weighted draws: hidden layers resampled by weight, then a fresh exact draw of the last layer.

        As many as were asked for, or as could be completed in time.
        """
        if not self.any_weight:
            return None
        chains = int(self.request.chains or 1)
        length = self.request.kept(chains)
        parts = self._completed(self.resample(chains * length), control)
        return self.arranged(parts, chains, length, self.target.task.shape)

    def _completed(self, chosen: Int[np.ndarray, " draw"], control: Control) -> list[Harvest]:
        """The chosen draws with their last layers, block by block until the time is spent."""
        target = replace(self.target, check=control.check_time)
        parts: list[Harvest] = []
        with contextlib.suppress(OutOfTime):
            for index, columns in self.by_block(chosen):
                source = generator(self.request.seed, Stream.IMPORTANCE, index, self.device)
                normals = self.target.draw(source, self.block)[:, columns]
                loss = normals.new_zeros(normals.shape[1])
                parts.append(target.harvest(normals, loss, [source], weights=self.request.weights))
        return parts

    def summary(self, name: str, values: Float[np.ndarray, " draw"]) -> Summary:
        """The same, but of E[L_gen] by what every draw says of it."""
        known = self.mean_gen_loss() if name == "gen_loss" else None
        if known is not None and known.value is not None and known.mcse is not None:
            return summarize(values, known.value, known.mcse)
        return super().summary(name, values)
