"""A result in words and rows of text, for the terminal's table and the report's alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bayesgc.analysis.numerals import one_in, quartiles, rounded, with_error
from bayesgc.analysis.summary import Json

BASELINES = {
    "zero": "zero",
    "least_squares": "least squares",
    "nuclear_norm": "nuclear norm",
    "chance": "chance",
}
HEADINGS = ("L_gen", "× zero", "L_train", "eff. rank")
_EXACT = 1e-20


@dataclass(frozen=True)
class Row:
    """One law or reference point: its name, a cell for each of ``HEADINGS``, and what kind of row it is."""

    name: str
    cells: tuple[str, ...]
    kind: str


def task_line(task: Json) -> str:
    """The task in one line."""
    said = {"kind", "shape", "measurements", "held_out", "truth_known", "seed"}
    parts = [f"{task['kind']} {'×'.join(str(side) for side in task['shape'])}"]
    parts += [f"{name.replace('_', ' ')} {value}" for name, value in task.items() if name not in said]
    parts += [f"{task['measurements']} measurements", f"{task['held_out']} held out"]
    parts += [f"task seed {task['seed']}"] if "seed" in task else []
    return ", ".join(parts + ([] if task["truth_known"] else ["truth unknown"]))


def model_line(model: Json) -> str:
    """The model in one line."""
    parts = []
    for name, value in model.items():
        label = name.replace("_", " ")
        if isinstance(value, bool):
            parts.append(whether(label, value))
        elif value is not None:
            shown = ", ".join(str(item) for item in value) if isinstance(value, list) else value
            parts.append(str(shown) if name in {"family", "activation", "name", "scaling"} else f"{label} {shown}")
    return ", ".join(parts)


def whether(label: str, value: bool) -> str:
    """A setting that is on or off: ``normalized``, ``not normalized``."""
    adjective = f"{label}d" if label.endswith("e") else label
    return adjective if value else f"not {adjective}"


def run_line(result: Json) -> str:
    """Method, threshold, seed, outcome and time in one line."""
    seconds = result["seconds"]["total"]
    took = "" if seconds is None else f" in {seconds:.1f} s"
    return f"{result['method']}, ε = {result['eps']:g}, seed {result['seed']}: {result['outcome']}{took}"


def judged(result: Json) -> bool:
    """Whether the generalisation loss is known."""
    return result["prior"]["gen_loss"] is not None


def law_rows(result: Json) -> Iterator[Row]:
    """Prior, posterior, gradient descent, MAP and the reference points; a second line of a cell holds quartiles."""
    yield Row("prior", _law_cells(result["prior"]), "law")
    yield Row("G&C posterior", _law_cells(result["posterior"]), "posterior")
    gd, mode = result["gd"], result["map"]
    if gd is not None:
        yield Row(f"GD\n{gd['converged']}/{gd['restarts']} fitted", _descent_cells(gd), "law")
    if mode is not None:
        yield Row(f"MAP, best\n{mode['converged']}/{mode['restarts']} fitted", _mode_cells(mode), "law")
    zero = (result["baselines"]["zero"] or {}).get("gen_loss")
    for key, name in BASELINES.items():
        if result["baselines"][key] is not None:
            yield Row(name, _baseline_cells(result["baselines"][key], zero), "reference")


def _law_cells(law: Json | None) -> tuple[str, ...]:
    if law is None:
        return ("none found", "-", "none found", "-")
    relative = law["gen_loss_relative"]
    return (
        _summary(law["gen_loss"], 2),
        rounded(relative and relative["mean"], 2),
        _summary(law["train_loss"], 1),
        _summary(law["effective_rank"], 1),
    )


def _summary(summary: Json | None, digits: int) -> str:
    return "-" if summary is None else with_error(summary["mean"], summary["mcse"], digits)


def _descent_cells(gd: Json) -> tuple[str, ...]:
    """Medians, and the quartiles on a line below."""
    relative = gd["gen_loss_relative"]
    return (
        _spread(gd["gen_loss"]),
        rounded(relative and relative["median"], 2),
        _spread(gd["train_loss"]),
        _spread(gd["effective_rank"]),
    )


def _mode_cells(mode: Json) -> tuple[str, ...]:
    """The restart of least energy, and the quartiles of all on a line below; the fits are exact but for rounding."""
    best = mode["best"] or {}
    return (
        _spread(mode["gen_loss"], best.get("gen_loss")),
        rounded(best.get("gen_loss_relative"), 2),
        "0" if best else "-",
        _spread(mode["effective_rank"], best.get("effective_rank")),
    )


def _spread(spread: Json | None, middle: float | None = None) -> str:
    if spread is None:
        return "-"
    return f"{rounded(spread['median'] if middle is None else middle)}\n{quartiles(spread['q25'], spread['q75'])}"


def _baseline_cells(losses: Json, zero: float | None) -> tuple[str, ...]:
    gen_loss, train_loss = losses["gen_loss"], losses["train_loss"]
    relative = gen_loss / zero if gen_loss is not None and zero else None
    # An exact fit leaves rounding errors, which would only distract.
    exact = train_loss is not None and train_loss < _EXACT
    return (rounded(gen_loss), rounded(relative, 2), "0" if exact else rounded(train_loss), "")


def legend_line(result: Json) -> str:
    """What the signs in the rows mean."""
    parts = ["± standard error"]
    restarted = result["gd"] is not None or result["map"] is not None
    parts += ["[quartiles] over fitted restarts"] if restarted else []
    parts += ["× zero: relative to zero"] if judged(result) else []
    if share := result.get("not_finite"):
        parts += [
            f"{rounded(100 * share)} % of the prior's draws are not finite: they fit nothing and are not in its row"
        ]
    return "; ".join(parts)


def volume_lines(result: Json) -> Iterator[str]:
    """How rare a fit is."""
    volume, evidence = result["log_volume"], result["log_evidence"]
    if evidence is not None:
        yield f"log evidence = {with_error(evidence['estimate'], evidence['mcse'])}"
    if volume is None:
        return
    low, high = volume["ci95"]
    if volume["estimate"] is not None:
        estimate = with_error(volume["estimate"], volume["mcse"])
        interval = "" if low is None or high is None else f", 95 % [{low:.2f}, {high:.2f}]"
        yield f"log P(fit) = {estimate}{interval}: 1 prior draw in {one_in(volume['estimate'])} fits"
    elif high is not None and high < 0:
        yield f"log P(fit) < {high:.2f} (95 %): fewer than 1 prior draw in {one_in(high)} fits"
