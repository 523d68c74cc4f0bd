"""The threshold that the data themselves suggest: the size of noise under which they are most probable.

Read {L_train < ε} as noise: the measurements are ⟨A_i, W⟩ + u_i with u uniform in the ball of radius √(nε). The data
then have the density P(L_train < ε) / (V_n (nε)^{n/2}) under the prior, with V_n the volume of the unit ball, so that

    log p(y | ε) = log P(L_train < ε) − (n/2) log ε + constant,

and the ε that makes it largest is the maximum-likelihood estimate of the noise's mean square (empirical Bayes). Data
without noise have none: the density grows as ε falls, and an exact fit is what they suggest.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from bayesgc.inference.control import Control
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.islands.ladders import Rung, ThresholdLadder
from bayesgc.inference.islands.pilot import run_pilot
from bayesgc.inference.islands.splitting import Splitting
from bayesgc.inference.records import Outcome
from bayesgc.validate import InputError

_DROP = 3.0
"""Nats below its top at which the log density has passed it for good."""
_LEAST = 1e-4
"""The share of the zero predictor's loss below which data count as free of noise."""
_SHARE = 0.5
"""The part of the budget that the search may spend."""


@dataclass(frozen=True)
class EvidenceLadder(ThresholdLadder):
    """Falling thresholds that end where the density of the data has passed its top, or at ``eps``.

    ``measurements`` are those of the task.
    """

    measurements: int

    def finished(self, rungs: list[Rung]) -> bool:
        """Whether the top lies behind, or the least threshold is reached."""
        density = self.log_density(rungs)
        return super().finished(rungs) or bool(rungs and density[-1] < density.max() - _DROP)

    def log_density(self, rungs: list[Rung]) -> Float[np.ndarray, " rung"]:
        """log p(y | ε) at the thresholds, up to a constant: each lets the same share of the particles through."""
        heights = np.array([rung.height for rung in rungs])
        levels = np.arange(1, len(rungs) + 1)
        return levels * math.log(self.survival) - 0.5 * self.measurements * np.log(heights)

    def way(self, rungs: list[Rung]) -> float:
        """Not known before the top is passed."""
        return 0.0


@dataclass(frozen=True)
class Likeliest:
    """The ε under which data are most probable, and the evaluations that finding it took.

    ``complete`` is false where the budget ended before the top was passed: then it is the last ε of the search, and
    the data may be more probable under a smaller one.
    """

    eps: float
    evaluations: int
    complete: bool


def likeliest_threshold(criterion: Criterion, seed: int, control: Control, *, noise: bool = True) -> Likeliest:
    """The ε under which the data are most probable, from one climb of particles within half of the budget.

    ``criterion.eps`` is not looked at. Without ``noise`` nobody said that there is any: where the density still grows
    at the least threshold, that is the one. The particles are thrown away: what is then conditioned on this ε draws its
    own.

    Raises:
        InputError: where the density still grows at the least threshold, no climb comes near the data, or the budget
            ends before the first threshold.
        KeyboardInterrupt: where the climb was interrupted before its top: there is nothing yet to make a result of.
    """
    task = criterion.array
    floor = _LEAST * task.zero_train_loss
    method = Splitting()
    ladder = EvidenceLadder(floor, method.survival, task.nats, task.measurements.count)
    climb = replace(method.climb(criterion), survey=None)
    schedule = run_pilot(replace(criterion, eps=floor), ladder, climb, seed, control, _SHARE)
    density = ladder.log_density(list(schedule.rungs))
    complete = bool(len(density) and density[-1] < density.max() - _DROP)
    if not complete and not noise and schedule.failure is None:
        return Likeliest(floor, schedule.evaluations, complete=True)
    if not complete and schedule.failure is Outcome.INTERRUPTED:
        raise KeyboardInterrupt
    if not complete and (schedule.failure is not Outcome.EXHAUSTED or not len(density)):
        raise InputError(
            f"eps is 'evidence', but {_why_no_top(schedule.failure, floor)}; give eps as a number or share."
        )
    return Likeliest(float(schedule.rungs[int(np.argmax(density))].height), schedule.evaluations, complete)


def _why_no_top(failure: Outcome | None, floor: float) -> str:
    if failure is None:
        return f"the data become ever more probable down to {floor:.2g}, as if they had no noise"
    if failure is Outcome.STALLED:
        return "the model cannot come close enough to the data to tell their noise"
    return "half of the budget, which the search may spend, ended before its first threshold"
