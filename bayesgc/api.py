"""`infer`: assemble the rooms into one call, from a model and a task to a labelled result."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from bayesgc.analysis.reach import LEFT, MOST_LEFT
from bayesgc.analysis.tree.datatree import assemble
from bayesgc.analysis.tree.result import Result
from bayesgc.hiding import add_hidden, kept_back, share_hidden
from bayesgc.inference import (
    SGD,
    Control,
    Estimate,
    GradientDescent,
    MaximumAPosteriori,
    Method,
    Outcome,
    Progress,
    Rejection,
    Run,
    conditioned_program,
    draw_prior,
    interruptible,
)
from bayesgc.inference.control import one_thread_each
from bayesgc.models import Model, as_model, describe
from bayesgc.models.layout import Program
from bayesgc.plugins import blame, is_foreign
from bayesgc.progress import watched
from bayesgc.searches import descend, find_mode, why_no_mode
from bayesgc.settings import Settings, check_task, request_of, usual_for
from bayesgc.task import Task, linear_view
from bayesgc.task.array.feasibility import infeasible, least_train_loss, left_by_norm
from bayesgc.task.asked import EVIDENCE
from bayesgc.validate import InputError, one_of, positive_integer, real_in

_SHARE = 0.1
"""The part of the time that is kept back for gradient descent, and again for MAP, where they are on."""


class InferenceFailed(RuntimeError):  # noqa: N818 - it says what happened
    """A run that did not converge, raised on request; ``result`` holds what was found."""

    def __init__(self, message: str, result: Result) -> None:
        super().__init__(message)
        self.result = result


@one_thread_each()
def infer(
    model: Model | Program,
    task: Task,
    *,
    eps: float | str | None = None,
    method: str | Method = "auto",
    gd: GradientDescent | SGD | bool = True,
    map: MaximumAPosteriori | bool | None = None,  # noqa: A002 - the field's name
    seed: int = 0,
    chains: int | None = None,
    draws: int | None = None,
    weights: bool = False,
    precision: float | None = None,
    hide: float | str | None = None,
    max_seconds: float | None = 600.0,
    max_evaluations: int | None = None,
    device: str = "auto",
    dtype: str = "float32",
    on_failure: Literal["return", "raise"] = "return",
    progress: bool | None = None,
    report: Callable[[Progress], None] | None = None,
) -> Result:
    """Condition a model on fitting a task, with the prior, gradient descent and reference points to compare with.

    Args:
        model: a `MatrixFactorization`, `CPFactorization` or `TensorTrain` of arrays; an `MLP`, `LeNet` or
            `Module`, which makes any ``torch.nn.Module`` a model, of labelled examples; or a Pyro program without
            arguments that returns one array of ``task.shape``.
        task: what was measured.
        eps: what a draw must fit to. Of an array it is the training loss below which a draw fits: a number, a share of
            the zero predictor's loss such as ``"5%"``, or ``"evidence"``, the size of noise under which the data are
            most probable; None for ``"evidence"`` where values were measured, as in a table, and for 0.0035 elsewhere.
            Of labelled examples it is the number of training labels that may be wrong, or a loss, as their fit asks;
            None for 0 wrong labels.
        method: ``auto``, a method's name, or a method object with its hyperparameters.
        gd: gradient descent with these hyperparameters, with the paper's, or none.
        map: the mode at an exact fit, with these hyperparameters, with the defaults, or none; None for the defaults
            where it takes a few seconds at most. Where there is no mode the result says why.
        seed: of every random stream; the task has its own.
        chains: independent islands or chains; None for the method's own number.
        draws: posterior and prior draws kept in each chain; None for the method's own number, or as many as 20 MB hold
            for each law.
        weights: keep the weights as well as the end-to-end matrices.
        precision: relative standard error of E[L_gen] at which a run has converged; None for the method's own.
        hide: a share of a table's observed cells, as ``"15%"``, to hide from a second run and compare with
            simple means; None for none. Where the truth is known, the missing cells are compared, with no second run.
        max_seconds: wall time of the whole call, None for no limit: checks, the prior's draws, the search for
            ``"evidence"``, reference points, conditioning, gradient descent, MAP and the second run. A tenth of it is
            kept back for descent, another for MAP and a quarter for a second run, where they are on. What the deadline
            cuts short is returned as far as it came.
        max_evaluations: evaluations of the training loss by the conditioning, None for no limit.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:i`` or ``mps``.
        dtype: ``float32`` or ``float64``.
        on_failure: what to do when the run does not converge: return the result with its outcome, or raise.
        progress: whether to show how far the run is, in a terminal or below a notebook's cell; None for doing so
            unless ``report`` is given, or the call is made in a thread or a child process.
        report: called with `Progress` while the run goes on, from any thread.

    Returns:
        A DataTree whose attributes hold configuration, outcome and volume; see the documentation of results.

    Raises:
        InputError: for an argument outside of these, or a model that breaks its contract.
        InferenceFailed: with ``on_failure="raise"``, when the run did not converge.
    """
    one_of("on_failure", on_failure, ["return", "raise"])
    limit = None if max_seconds is None else real_in("max_seconds", max_seconds, 0, open_low=True)
    most = None if max_evaluations is None else positive_integer("max_evaluations", max_evaluations)
    # The clock runs from here: checks decompose the measurements, which takes seconds where there are thousands.
    with watched(progress, report) as tell:
        control = Control(limit, most, tell)
        check_task(task, model)
        asked, method = usual_for(task, eps, method)
        request = request_of(seed, precision, chains, draws, weights)
        settings = Settings.checked(model, task, asked, method, gd, map, device, dtype, request)
        settings = replace(settings, given={"eps": eps, "hide": hide})
        share = share_hidden(hide, settings)
        with interruptible(control):
            settings = settings.at_evidence(asked, control, noise=eps is not None)
            result = _assemble(settings, control, kept=kept_back(share, settings))
            add_hidden(result, settings, share, control)
    if control.interrupted:
        _note_interruption(result)
    if on_failure == "raise" and result.attrs["outcome"] != Outcome.CONVERGED:
        raise InferenceFailed(f"{result.attrs['outcome']}: {result.attrs['message']}", result)
    return result


def check_inference(
    model: Model | Program,
    task: Task,
    *,
    eps: float | str | None = None,
    method: str | Method = "auto",
    gd: GradientDescent | SGD | bool = True,
    map: MaximumAPosteriori | bool | None = None,  # noqa: A002 - the field's name
    seed: int = 0,
    chains: int | None = None,
    draws: int | None = None,
    precision: float | None = None,
    device: str = "auto",
    dtype: str = "float32",
) -> None:
    """Refuse what `infer` would refuse with these arguments, without drawing anything.

    Raises:
        InputError: as `infer` does.
    """
    check_task(task, model)
    eps, method = usual_for(task, eps, method)
    request = request_of(seed, precision, chains, draws, weights=False)
    Settings.checked(model, task, eps, method, gd, map, device, dtype, request)


@one_thread_each()
def infer_together(
    problems: Sequence[tuple[Model, Task, float | str]],
    *,
    seed: int = 0,
    chains: int | None = None,
    draws: int | None = None,
    precision: float | None = None,
    max_seconds: float | None = None,
    max_evaluations: int | None = None,
    device: str = "auto",
    dtype: str = "float32",
) -> list[Result]:
    """`infer` by rejection, without descent, on problems that share the law of the weights and one set of draws.

    Problems are (model, task, eps); those with the same model object share its products too. Each result has the bits
    of `infer` with that problem alone; the results are not independent of each other.

    Raises:
        InputError: as `infer` does.
    """
    control = Control(max_seconds, max_evaluations)
    request = request_of(seed, precision, chains, draws, weights=False)
    every = [Settings.checked(*problem, Rejection(), False, False, device, dtype, request) for problem in problems]
    with interruptible(control):
        every = [each.at_evidence(eps, control) for each, (_, _, eps) in zip(every, problems, strict=True)]
        firsts = {id(model): settings for (model, _, _), settings in reversed(list(zip(problems, every, strict=True)))}
        criteria = [
            replace(settings.criterion, whitened=firsts[id(model)].criterion.whitened)
            for (model, _, _), settings in zip(problems, every, strict=True)
        ]
        possible = [
            not infeasible(each.criterion.array, each.criterion.eps, normalize=each.model.normalize) for each in every
        ]
        runs: dict[int, Run] = {}
        # Forms with fewer normals for a draw, as some collapsed ones, cannot take the same ones.
        for size in {criterion.latent_size for criterion in criteria}:
            chosen = [i for i, each in enumerate(criteria) if possible[i] and each.latent_size == size]
            if chosen:
                own = control.part()
                spent = [every[i].spent for i in chosen]
                asked = [replace(criteria[i], check=own.check) for i in chosen]
                together = Rejection().run_together(asked, every[chosen[0]].request, own, spent)
                runs |= dict(zip(chosen, together, strict=True))
        # What stands beside the draws that they share is made for each, on a clock of its own.
        clock = (replace(control, started=time.perf_counter()) for _ in every)
        results = [_assemble(settings, next(clock), runs.get(i)) for i, settings in enumerate(every)]
    if control.interrupted:
        for result in results:
            _note_interruption(result)
    return results


def conditioned(model: Model | Program, task: Task, *, eps: float | str, complete: bool = False) -> Program:
    """The model given the fit as a plain Pyro program, for any algorithm of ``pyro.infer``.

    Its latent sites are the hidden layers ``W1`` … ``W{d−1}`` and, at ε > 0, the ``residual`` in whitened form; the
    last layer is integrated out and ``y`` observed under what is then its law. ``mean`` is E[W | hidden layers, fit].

    Args:
        model: an unnormalised factorisation with a Gaussian last layer.
        task: what was measured.
        eps: the threshold on the training loss, or a share of the zero predictor's such as ``"5%"``; 0 for an
            exact fit.
        complete: also draw the last layer and ``end_to_end`` from their exact conditional, by one more latent site,
            ``free``. Leave it out of the sampling and put it into ``pyro.infer.Predictive``.

    Raises:
        InputError: for a model or a fit criterion without such a density; rejection and splitting need none.
    """
    check_task(task, model)
    array = linear_view(task)
    if array is None:
        raise InputError(f"the task is a {task.kind}; conditioned() needs linear measurements of an array.")
    return conditioned_program(as_model(model), array, eps=array.threshold(eps), complete=complete)


def _assemble(settings: Settings, control: Control, run: Run | None = None, kept: float = 0.0) -> Result:
    """The result of one call, from its run where that was made elsewhere; a share of the time is ``kept`` back."""
    prior = draw_prior(settings.criterion, settings.request, control)
    normalize = settings.model.normalize
    references = settings.task.references(normalize=normalize, stop=control.out_of_time)
    no_mode = why_no_mode(settings)
    for_mode = _SHARE * (no_mode is None)
    kept_back = _SHARE * (settings.gd is not None) + for_mode + kept
    withheld = int(kept * (control.max_evaluations or 0))
    run = run or _condition(settings, control.after(settings.spent + withheld).part(kept_back))
    run = replace(run if settings.settled else _unsettled(run), evaluations=settings.spent + run.evaluations)
    run = replace(
        run, message=run.message + _narrower(settings, run), diagnostics={**run.diagnostics, **_left(settings)}
    )
    descent, no_descent = descend(settings, run, control, for_mode + kept)
    mode, no_mode = find_mode(settings, run, control, no_mode, kept)
    seconds = {"total": control.seconds, "sampling": run.seconds}
    seconds |= {name: part.seconds for name, part in (("gd", descent), ("map", mode)) if part is not None}
    reasons = {"gd": no_descent, "map": no_mode} | {name: each.note for name, each in references.items()}
    absent = settings.task.why_absent(normalize=normalize)
    reasons |= {name: reason for name, reason in absent.items() if name not in references}
    # What the end of the time cut short is no reference: its reason stands in its place.
    references = {name: each for name, each in references.items() if each.note is None}
    return assemble(
        settings.task,
        configuration=settings.configuration() | control.budget | {"filled": settings.filled(run.method)},
        prior=prior,
        run=run,
        gd=descent,
        mode=mode,
        references=references,
        seconds=seconds,
        seed=settings.request.seed,
        reasons={name: reason for name, reason in reasons.items() if reason is not None},
    )


def _note_interruption(result: Result) -> None:
    """However late a Ctrl-C came, whoever it was meant for must learn of it."""
    result.attrs |= {"outcome": Outcome.INTERRUPTED.value, "message": Outcome.INTERRUPTED.advice}


def _condition(settings: Settings, control: Control) -> Run:
    """The method's run, or at once the proof that there is nothing to find."""
    criterion, normalize, array = settings.criterion, settings.model.normalize, linear_view(settings.task)
    if array is None or not infeasible(array, criterion.eps, normalize=normalize):
        with blame(f"method {settings.method.name!r}") if is_foreign(settings.method) else contextlib.nullcontext():
            run = settings.method.run(replace(criterion, check=control.check), settings.request, control)
        return run if run.errors else replace(run, errors=settings.method.errors)
    noun = "matrix" if len(array.shape) == 2 else "tensor"
    kind = f"{noun} of Frobenius norm 1" if normalize else noun
    least = least_train_loss(array, normalize=normalize)
    return Run(
        method=settings.method.name,
        outcome=Outcome.INFEASIBLE,
        message=f"No {kind} has a training loss below {criterion.eps:.4g}; the least is {least:.4g}. Raise `eps`.",
        eps=criterion.eps,
        posterior=None,
        log_volume=Estimate(None, None, (None, float("-inf"))),
        log_evidence=None,
        levels=None,
        diagnostics={"least_train_loss": least},
        evaluations=0,
        seconds=0.0,
    )


def _left(settings: Settings) -> dict[str, float]:
    """What a normalised model leaves of the data, where it is more than a little."""
    array = linear_view(settings.task)
    share = left_by_norm(array) if array is not None and settings.model.normalize else 0.0
    return {LEFT: share} if share > MOST_LEFT else {}


def _narrower(settings: Settings, run: Run) -> str:
    """What else to try where noisy data suggest a threshold that is out of reach: with less freedom it is looser."""
    width = describe(settings.model).get("width")
    suggested = settings.given["eps"] == EVIDENCE and run.outcome is Outcome.EXHAUSTED and run.posterior is None
    if not suggested or not isinstance(width, int) or width < 2:
        return ""
    return f" With a smaller `width`, such as `width={width - 1}`, the data suggest an ε that is reached sooner."


def _unsettled(run: Run) -> Run:
    """A run at a threshold that stands for one that was not found in time: at best the budget ended first."""
    said = f"The budget ended before the data's most probable ε was found; {run.eps:.4g} is the last that was tried."
    outcome = Outcome.EXHAUSTED if run.outcome is Outcome.CONVERGED else run.outcome
    return replace(run, outcome=outcome, message=f"{said} Raise `max_seconds` or `max_evaluations`.")
