"""Small problems whose volume and E[L_gen] a long run knows far better than any short one."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from collapsed_problems import collapsed_problem, unnormalised
from problems import MILD_TASK

from bayesgc.inference import Control, Importance, Outcome, Rejection, Request
from bayesgc.models import MatrixFactorization
from bayesgc.task import completion, sensing

PROBLEMS = {
    "linear": collapsed_problem(unnormalised(2, 4), MILD_TASK, 0.02),
    "tanh, completion": collapsed_problem(unnormalised(2, 5, "tanh"), completion(3, 4, 1, 5, seed=2), 0.05),
    "leaky ReLU, depth 3": collapsed_problem(unnormalised(3, 4, "leaky-relu"), sensing(3, 3, 1, 4, seed=2), 0.03),
    "normalised, depth 4": collapsed_problem(MatrixFactorization(4, 4), MILD_TASK, 0.02),
}
COLLAPSIBLE = [name for name in PROBLEMS if PROBLEMS[name].collapsed is not None]


@dataclass(frozen=True)
class Truth:
    log_volume: float
    log_volume_error: float
    gen_loss: float
    gen_loss_error: float


@cache
def truth(problem: str) -> Truth:
    """By a long run of a method that needs no mixing: plain weights, or rejection where the model does not collapse."""
    method, precision = (Importance(most_draws=2**24), 5e-4) if problem in COLLAPSIBLE else (Rejection(), 2e-3)
    run = method.run(PROBLEMS[problem], Request(seed=10**6, precision=precision, draws=10), Control())
    assert run.outcome is Outcome.CONVERGED
    loss = run.posterior.summaries["gen_loss"]
    return Truth(run.log_volume.value, run.log_volume.mcse, loss.mean, loss.mcse)
