"""What the methods return: plain records of tensors and floats, the same shape for every method."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor

from bayesgc.correlated import ErrorRule
from bayesgc.verification import Check


class Outcome(StrEnum):
    """How a run ended."""

    CONVERGED = "converged"
    EXHAUSTED = "exhausted"
    STALLED = "stalled"
    INFEASIBLE = "infeasible"
    INTERRUPTED = "interrupted"

    @property
    def advice(self) -> str:
        """What the outcome means and what to try next, in one sentence."""
        return _ADVICE[self]

    def advice_where(self, *, fitted: bool) -> str:
        """The same of a run whose method waits for draws that fit: without one, precision is not the matter."""
        return _NONE_FITTED if self is Outcome.EXHAUSTED and not fitted else self.advice


_ADVICE = {
    Outcome.CONVERGED: "The threshold was reached and the errors are as small as asked for.",
    Outcome.EXHAUSTED: (
        "The budget ended before the errors were known to be small enough: raise `max_seconds` or `max_evaluations`, "
        "loosen `eps`, or accept a larger `precision`."
    ),
    Outcome.STALLED: (
        "The training loss of the draws stopped falling, as when the prior has atoms: "
        "raise `eps` above the last threshold reached, or give the model more freedom."
    ),
    Outcome.INFEASIBLE: "No matrix that this model can produce fits this well: raise `eps` or change the model.",
    Outcome.INTERRUPTED: "The run was interrupted; what had been found is kept.",
}
_NONE_FITTED = "The budget ended before any draw fitted: raise `max_seconds`, `max_evaluations` or `eps`."


@dataclass(frozen=True)
class Estimate:
    """A Monte Carlo estimate of one number.

    ``value`` and ``mcse`` (one standard error) are None when the event was not observed;
    ``ci95`` then has no lower end and its upper end is a bound.
    """

    value: float | None
    mcse: float | None
    ci95: tuple[float | None, float]


@dataclass(frozen=True)
class Summary:
    """One scalar quantity under one law; ``mcse`` is the standard error of ``mean`` by the method's own rule."""

    mean: float
    sd: float
    mcse: float
    q05: float
    q50: float
    q95: float


@dataclass(frozen=True)
class Draws:
    """Equally weighted draws from one law.

    ``quantities`` holds ``train_loss``, ``error``, ``effective_rank``, ``nuclear_norm``, ``singular_value`` and, where
    something is held out and the truth is known, ``gen_loss``, each (chain, draw) but for ``singular_value``
    (chain, draw, min(rows, cols)), in whose place a tensor has ``mode_singular_value`` (chain, draw, mode, component).
    ``summaries`` comes from every draw the method made, not from the kept ones alone; but importance with plain weights
    makes matrices of the kept draws only, and there just the mean of ``gen_loss`` and its error come from all.
    ``not_finite`` is the share of the law that is left out of all this, since an entry or a loss there is not finite.
    """

    end_to_end: Float[Tensor, "chain draw *shape"]
    quantities: dict[str, Float[Tensor, "chain draw *rest"]]
    summaries: dict[str, Summary]
    sample_stats: dict[str, Tensor] = field(default_factory=dict)
    weights: dict[str, Shaped[Tensor, "chain draw *site"]] | None = None
    not_finite: float = 0.0


@dataclass(frozen=True)
class Levels:
    """The ε-curve: one entry for each threshold, from the prior (``inf``) down to the last one reached.

    ``primary`` is the mean of the task's measure of generalisation below the threshold, for arrays E[L_gen | L_train <
    threshold]; NaN marks what is unknown at a level.
    """

    threshold: Float[np.ndarray, " level"]
    log_volume: Float[np.ndarray, " level"]
    log_volume_mcse: Float[np.ndarray, " level"]
    primary: Float[np.ndarray, " level"]
    primary_mcse: Float[np.ndarray, " level"]
    acceptance: Float[np.ndarray, " level"]
    ancestors: Float[np.ndarray, " level"]


@dataclass(frozen=True)
class Curve:
    """Log volume and mean generalisation below thresholds of which a task wants to know, falling.

    For labelled examples below each number of training errors and one more: of at most so many.
    """

    threshold: Float[np.ndarray, " threshold"]
    log_volume: list[Estimate]
    primary: list[Estimate]


@dataclass(frozen=True)
class Reached:
    """The posterior at the lowest threshold that a run reached where it did not reach ε, and the log volume there."""

    eps: float
    posterior: Draws
    log_volume: Estimate


@dataclass(frozen=True)
class Run:
    """The record of a method that conditions the model on the fit criterion.

    ``log_volume`` belongs to ε > 0, ``log_evidence`` (the log density of y at exactly zero loss) to ε = 0.
    ``importance`` holds the raw draws of a weighted method with their ``log_weight``, ``reached`` the posterior short
    of ε, ``curve`` what the task wants to know of other thresholds. ``errors`` is the rule for the error of a mean over
    the draws, and ``checks`` what the method found out about itself, for `bayesgc.diagnose`.
    """

    method: str
    outcome: Outcome
    message: str
    eps: float
    posterior: Draws | None
    log_volume: Estimate | None = None
    log_evidence: Estimate | None = None
    levels: Levels | None = None
    diagnostics: dict[str, float | int | str] = field(default_factory=dict)
    evaluations: int = 0
    seconds: float = 0.0
    importance: dict[str, Float[np.ndarray, " draw"]] | None = None
    reached: Reached | None = None
    curve: Curve | None = None
    errors: ErrorRule | None = None
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Passage:
    """Where each restart's training loss first was at or below ε: its state then, the same as at its end.

    Where ``reached`` is false the restart never fitted, its numbers are NaN, and ``steps`` is −1.
    """

    end_to_end: Float[Tensor, "restart *shape"]
    quantities: dict[str, Float[Tensor, "restart *rest"]]
    reached: Bool[Tensor, " restart"]
    steps: Int[Tensor, " restart"]


@dataclass(frozen=True)
class DescentCurve:
    """Both losses where each restart's training loss first was at or below a threshold; NaN where it never was.

    Thresholds fall. ``gen_loss`` is NaN throughout where it is not known.
    """

    threshold: Float[np.ndarray, " level"]
    train_loss: Float[np.ndarray, "restart level"]
    gen_loss: Float[np.ndarray, "restart level"]


@dataclass(frozen=True)
class Descent:
    """The record of gradient descent or of the mode: one end point a restart, a spread and not a posterior.

    ``energy`` is −log prior density of the weights, counted from the density's peak where that is known; ``trace`` the
    training losses before some of the steps, by their number, also of those that a restart makes beyond its end to come
    down to ε. ``at_eps`` is there for gradient descent at ε > 0, ``curve`` for that of arrays, ``diverged`` and ``cut``
    for all gradient descent: which restarts the end of the time stopped on their way.
    """

    configuration: dict[str, float | int | str]
    end_to_end: Float[Tensor, "restart *shape"]
    quantities: dict[str, Float[Tensor, "restart *rest"]]
    converged: Bool[Tensor, " restart"]
    steps: Int[Tensor, " restart"]
    seconds: float
    energy: Float[Tensor, " restart"] | None = None
    trace: dict[int, Float[np.ndarray, " restart"]] | None = None
    at_eps: Passage | None = None
    curve: DescentCurve | None = None
    diverged: Bool[Tensor, " restart"] | None = None
    cut: Bool[Tensor, " restart"] | None = None
