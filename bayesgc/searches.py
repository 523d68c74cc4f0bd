"""The searches beside a run: gradient descent and the mode, in the time that is left, or why there are none."""

from __future__ import annotations

from collections.abc import Callable

from bayesgc.inference import (
    SGD,
    Control,
    Descent,
    GradientDescent,
    MaximumAPosteriori,
    Outcome,
    Run,
    why_no_descent,
    why_no_map,
    why_not_by_default,
)
from bayesgc.models import as_sites, factorised
from bayesgc.models.program import trainable, why_untrainable
from bayesgc.settings import Settings
from bayesgc.task import labelled_view, linear_view


def descend(settings: Settings, run: Run, control: Control, kept_back: float) -> tuple[Descent | None, str | None]:
    """Gradient descent, or the reason why there is none."""
    gd, model = settings.gd, settings.model
    if gd is None:
        return None, "it was turned off"
    if run.outcome in (Outcome.INFEASIBLE, Outcome.INTERRUPTED):
        return None, f"the run was {run.outcome}"
    if isinstance(gd, SGD):
        return _train(settings, gd, control, kept_back)
    layered = factorised(model)
    if layered is None:
        return _descend_program(settings, gd, run, control, kept_back)
    if reason := gd.why_too_large(layered, settings.task.shape):
        return None, reason
    seed, levels = settings.request.seed, _thresholds(run)
    return _in_time(control, lambda own: gd.run(layered, settings.criterion, seed, own, levels), kept_back)


def _train(settings: Settings, sgd: SGD, control: Control, kept_back: float) -> tuple[Descent | None, str | None]:
    """The same for a network on labelled examples."""
    model, seed, program = settings.model, settings.request.seed, as_sites(settings.criterion.whitened)
    if labelled_view(settings.task) is None:
        return None, "stochastic gradient descent is for labelled examples"
    if program is not None and (reason := why_no_descent(program)):
        return None, reason
    if trainable(model) is None and program is None:
        return None, why_untrainable(model) or "gradient descent on labelled examples needs a network of weights"
    return _in_time(control, lambda own: sgd.run(model, settings.criterion, seed, own), kept_back)


def _thresholds(run: Run) -> list[float]:
    """The levels of the ε-curve, at which the curve of descent is to be known too."""
    return [] if run.levels is None else [float(each) for each in run.levels.threshold]


def _descend_program(
    settings: Settings, gd: GradientDescent, run: Run, control: Control, kept_back: float
) -> tuple[Descent | None, str | None]:
    """The same for a Pyro program."""
    whitened = as_sites(settings.criterion.whitened)
    if whitened is None:
        return None, "gradient descent needs a factorisation or a Pyro program"
    if reason := why_no_descent(whitened):
        return None, reason
    seed, levels = settings.request.seed, _thresholds(run)
    return _in_time(control, lambda own: gd.run_program(whitened, settings.criterion, seed, own, levels), kept_back)


def _in_time(
    control: Control, descend: Callable[[Control], Descent], kept_back: float
) -> tuple[Descent | None, str | None]:
    """What ``descend`` finds in the time that is left, and what the deadline did to it."""
    own = control.part(kept_back)
    found = None if own.out_of_time() else descend(own)
    stopped = 0 if found is None or found.cut is None else int(found.cut.sum())
    if found is None or (stopped and not found.steps.any()):
        return None, f"{_ender(control)} left no time for it"
    if not stopped and (found.cut is not None or not own.out_of_time()):
        return found, None
    return found, f"{_ender(control)} stopped it after {int(found.steps.max())} steps{_unended(found)}"


def _unended(found: Descent) -> str:
    """How many restarts had not come to rest, which is not the same as not having fitted."""
    if found.cut is None or not found.cut.any():
        return ""
    stopped, fitted = int(found.cut.sum()), int((found.cut.cpu() & found.converged.cpu()).sum())
    said = "though all" if fitted == stopped else f"and {fitted or 'none'}"
    return f": {stopped} of its {len(found.steps)} restarts had not come to their own end, {said} of these fitted"


def _ender(control: Control) -> str:
    return "an interrupt" if control.interrupted else f"`max_seconds={control.max_seconds:g}`"


def find_mode(
    settings: Settings, run: Run, control: Control, reason: str | None, kept: float
) -> tuple[Descent | None, str | None]:
    """The mode, unless there is a ``reason`` against it, or why there is none."""
    if settings.mode is not False and (control.interrupted or run.outcome in (Outcome.INFEASIBLE, Outcome.INTERRUPTED)):
        return None, f"the run was {Outcome.INTERRUPTED if control.interrupted else run.outcome}"
    if reason is not None:
        return None, reason
    method = settings.mode if isinstance(settings.mode, MaximumAPosteriori) else MaximumAPosteriori()
    seed = settings.request.seed
    return _in_time(control, lambda own: method.run(settings.model, settings.criterion, seed, own), kept)


def why_no_mode(settings: Settings) -> str | None:
    """Why the mode is not looked for; None where it is."""
    array = linear_view(settings.task)
    if settings.mode is False:
        return "it was turned off"
    if array is None:
        kind = settings.task.kind if labelled_view(settings.task) is None else "labelled examples"
        return f"a mode is sought where linear measurements are fitted exactly, and here the task is {kind}"
    reason = why_no_map(settings.model, array)
    if reason is None and settings.mode is None:
        if array.noisy:
            return "a mode is sought where measurements are fitted exactly, and measured values hold noise"
        return why_not_by_default(settings.model, array.shape)
    return reason
