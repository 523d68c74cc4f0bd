"""Collapsed importance sampling on labelled examples: the last layer is drawn given that it gets every label right.

Hidden layers come from the prior, weighted by the probability that a Gaussian last layer on top of them fits. That is
an orthant probability, of which an unbiased estimate serves as well (`bayesgc.inference.collapsed.margins`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bayesgc.correlated import ErrorRule
from bayesgc.inference.collapsed.margins import Margins, fitting
from bayesgc.inference.control import Control, OutOfTime, Progress, in_order
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.estimates import log_mean
from bayesgc.inference.methods import Method, register_method
from bayesgc.inference.records import Draws, Estimate, Outcome, Run
from bayesgc.inference.request import LOG_VOLUME_ERROR, Request
from bayesgc.inference.streams import Stream, generator
from bayesgc.inference.target import Harvest
from bayesgc.inference.weighted import FEWEST_BLOCKS, WeightedSample
from bayesgc.models.placement import exact_device
from bayesgc.task import LabelledTask, labelled_view
from bayesgc.validate import InputError, positive_integer

BLOCK = 256
"""Draws in a block, the unit of drawing and evaluation."""
_MOST_MARGINS = 2000
_AT_ONCE = 2**23
"""Entries of covariance matrices in memory at once: 64 MB, some three times over."""
_COMPLETION = 0.2
"""The part of the time that is kept back for testing what was drawn."""


@register_method
@dataclass(frozen=True)
class Orthants(Method):
    """Hidden layers weighted by the orthant probability of the last, for fits that get every label right.

    The wider the last hidden layer and the fewer the examples, the more even the weights; where they are too uneven the
    run does not converge, and splitting is the method. It knows the volume of the fit alone, not that of more errors.

    Args:
        particles: last layers by which each orthant probability is estimated.
        most_draws: draws of the hidden layers beyond which the weights are taken to be too uneven.
    """

    particles: int = 32
    most_draws: int = 2**18
    name: ClassVar[str] = "orthants"
    defaults: ClassVar[Request] = Request(precision=0.05, chains=16, draws=1000)
    errors: ClassVar[ErrorRule] = ErrorRule.WEIGHTS
    usual_evaluations: ClassVar[float] = 2e4

    def __post_init__(self) -> None:
        positive_integer("particles", self.particles)
        positive_integer("most_draws", self.most_draws)

    def needs(self, criterion: Criterion) -> str | None:
        """Labels all of which are to be right, and a linear last layer of Gaussian weights."""
        task = labelled_view(criterion.task)
        if task is None:
            return f"`method={self.name}` is for labelled examples; choose auto, splitting or rejection."
        if not task.criterion.all_right(criterion.eps):
            return f"`method={self.name}` is for fits that get every training label right; choose auto or splitting."
        if not criterion.whitened.last_is_linear:
            return (
                f"`method={self.name}` needs a perceptron with a hidden layer and a Gaussian prior on its last layer; "
                "splitting and rejection condition any network."
            )
        margins = task.inputs.count * (task.inputs.outputs - 1)
        if margins > _MOST_MARGINS:
            return (
                f"`method={self.name}` draws one margin after the other, and {task.inputs.count} examples of "
                f"{task.inputs.outputs} classes have {margins}, more than {_MOST_MARGINS}; choose auto or splitting."
            )
        return None

    def run(self, criterion: Criterion, request: Request, control: Control) -> Run:
        """Weigh hidden layers until the errors are small enough, the weights prove too uneven or the budget is spent.

        Raises:
            InputError: for what has no such last layer or another fit.
        """
        if reason := self.needs(criterion):
            raise InputError(reason)
        sample = WeightedSample(request.filled(self.defaults), criterion.device, BLOCK)
        done = False
        for block in self._blocks(criterion, sample, control.part(_COMPLETION)):
            sample.parts.append(block)
            if not sample.time_to_look():
                continue
            control.report(self._progress(sample))
            done = _precise_enough(sample)
            if done or sample.total >= self.most_draws:
                break
        # A last look: a stop that the budget sets is no lucky moment.
        done = done or (not control.interrupted and _precise_enough(sample))
        return self._record(criterion, sample, control, Outcome.CONVERGED if done else control.failure())

    def _blocks(
        self, criterion: Criterion, sample: WeightedSample, control: Control
    ) -> Iterator[Float[np.ndarray, " draw"]]:
        watched = replace(criterion, check=control.check)

        def one_block(index: int) -> Float[np.ndarray, " draw"] | None:
            if control.out_of_time() or not control.affords((index + 1) * BLOCK):
                return None
            try:
                return _draw_block(watched, self.particles, sample.request.seed, index)[0].cpu().numpy()
            except OutOfTime:
                return None

        for block in in_order(one_block, count(), criterion.device):
            if block is None:
                return
            yield block

    def _progress(self, sample: WeightedSample) -> Progress:
        detail = f"ESS {sample.effective_size():.0f}"
        return Progress(self.name, sample.total, None, None, None, _log_volume(sample).value, detail)

    def _record(self, criterion: Criterion, sample: WeightedSample, control: Control, outcome: Outcome) -> Run:
        uneven = outcome is not Outcome.CONVERGED and sample.total >= self.most_draws
        advice = f"After {sample.total} draws their weights are still too uneven for errors this small: use splitting."
        return Run(
            method=self.name,
            errors=self.errors,
            outcome=outcome,
            message=advice if uneven else control.advice(outcome, sample.total, BLOCK),
            eps=criterion.eps,
            posterior=self._draws(criterion, sample, control),
            log_volume=_log_volume(sample),
            diagnostics=sample.diagnostics(),
            evaluations=sample.total,
            seconds=control.seconds,
            importance={"log_weight": sample.log_weight},
        )

    @torch.no_grad()
    def _draws(self, criterion: Criterion, sample: WeightedSample, control: Control) -> Draws | None:
        """Equally weighted draws, as many as were asked for and can be tested, or could be completed in time."""
        if not sample.any_weight:
            return None
        chains = int(sample.request.chains or 1)
        length = criterion.testable(sample.request.kept(chains))
        parts = self._completed(criterion, sample, sample.resample(chains * length), control)
        return sample.arranged(parts, chains, length, criterion.task.shape)

    def _completed(
        self, criterion: Criterion, sample: WeightedSample, chosen: Int[np.ndarray, " draw"], control: Control
    ) -> list[Harvest]:
        watched, request = replace(criterion, check=control.check_time), sample.request
        parts: list[Harvest] = []
        with contextlib.suppress(OutOfTime):
            for index, columns in sample.by_block(chosen):
                _, score, normals = _draw_block(watched, self.particles, request.seed, index)
                source = generator(request.seed, Stream.HELD_OUT, index, criterion.device)
                own = normals[:, columns]
                parts.append(watched.harvest(own, score[columns], [source], weights=request.weights))
        return parts


@torch.no_grad()
def _draw_block(
    criterion: Criterion, particles: int, seed: int, index: int
) -> tuple[Float[Tensor, " draw"], Float[Tensor, " draw"], Float[Tensor, "latent draw"]]:
    """Log weight, score and normals of one block: hidden layers from the prior, and last ones that fit."""
    source = generator(seed, Stream.IMPORTANCE, index, criterion.device)
    normals = criterion.draw(source, BLOCK)
    task, last = _labelled(criterion), criterion.whitened.blocks[-1]
    exact = exact_device(criterion.device)
    margins = Margins(torch.as_tensor(task.labels, device=exact), task.inputs.outputs)
    judge = generator(seed, Stream.CURVE, index, exact)
    weights = []
    chunk = min(criterion.chunk, max(1, _AT_ONCE // len(margins.example) ** 2))
    for part in normals.split(chunk, dim=1):
        criterion.check()
        features = criterion.whitened.features(part).to(exact, torch.float64)
        drawn = part[last].T.unflatten(1, (task.inputs.outputs, -1)).to(exact, torch.float64)
        log_weight, fits = fitting(margins, features, drawn, particles, judge)
        part[last] = fits.flatten(1).T.to(part)
        weights.append(log_weight)
    score = criterion.score(normals)
    fitted = (score < criterion.eps).to(exact)
    return torch.where(fitted, torch.cat(weights), -torch.inf), score, normals


def _labelled(criterion: Criterion) -> LabelledTask:
    task = labelled_view(criterion.task)
    if task is None:
        raise InputError("orthants are of labelled examples.")
    return task


def _log_volume(sample: WeightedSample) -> Estimate:
    """The log volume, its error from independent batches."""
    if len(sample.parts) < 2 or not sample.any_weight:
        return Estimate(None, None, (None, 0.0))
    weights = sample.batch_weights()
    return log_mean(np.logaddexp.reduce(weights, axis=1) - np.log(weights.shape[1]))


def _precise_enough(sample: WeightedSample) -> bool:
    """Whether the errors are small enough, and the weights fit to tell: spread of a measure about as large as it."""
    if len(sample.parts) < FEWEST_BLOCKS or not sample.any_weight:
        return False
    volume = _log_volume(sample)
    if volume.mcse is None or volume.mcse > LOG_VOLUME_ERROR or sample.shape() > sample.shape_limit():
        return False
    return sample.effective_size() * sample.request.relative_error**2 >= 1
