"""A result in words and rows of text, for the terminal's table and the report's alike."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bayesgc.analysis.numerals import one_in, quartiles, rounded, with_error
from bayesgc.analysis.summary import Json, one_line
from bayesgc.analysis.tails import centre, doubtless

BASELINES = {
    "zero": "zero",
    "least_squares": "least squares",
    "nuclear_norm": "nuclear norm",
    "chance": "chance",
}
OPTIMIZERS = {
    "group-rmsprop": "RMSprop with one shared average",
    "gd": "plain gradient descent",
    "momentum": "gradient descent with heavy-ball momentum",
    "adam": "Adam",
}
HEADINGS = ("L_gen", "× zero", "L_train", "eff. rank")
_OF_TABLES = {
    "standardize": ("standardised", "not standardised"),
    "index": ("labels in the first column", "no labels"),
    "header": ("names in the first line", "no names"),
}
"""How the task's line says how a table was read."""
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
    parts += [_said(name, value) for name, value in task.items() if name not in said]
    parts += [f"{task['measurements']} measurements", f"{task['held_out']} held out"]
    parts += [f"task seed {task['seed']}"] if "seed" in task else []
    return ", ".join(parts + ([] if task["truth_known"] else ["truth unknown"]))


def _said(name: str, value: object) -> str:
    if name in _OF_TABLES and isinstance(value, bool):
        return _OF_TABLES[name][not value]
    return one_line(f"{name.replace('_', ' ')} {value}")


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
    """Prior, posterior, gradient descent, MAP and the reference points; a second line of a cell holds quartiles.

    Gradient descent has two rows: where it first passed ε, which is at equal fit, and its end.
    """
    yield Row("prior", _law_cells(result["prior"]), "law")
    yield Row("G&C posterior", _law_cells(result["posterior"]), "posterior")
    if result["reached"] is not None:
        yield Row(
            f"where L_train\n< {result['reached']['eps']:.3g}", _law_cells(result["reached"]["posterior"]), "posterior"
        )
    gd, mode = result["gd"], result["map"]
    if gd is not None:
        if gd["at_eps"] is not None:
            yield Row(f"GD, at ε\n{_fitted(gd['at_eps'])}", _descent_cells(gd["at_eps"]), "law")
        yield Row(f"GD, at its end\n{_fitted(gd)}", _descent_cells(gd), "law")
    if mode is not None:
        yield Row(f"MAP, best\n{mode['converged']}/{mode['restarts']} fitted", _mode_cells(mode), "law")
    zero = (result["baselines"]["zero"] or {}).get("gen_loss")
    for key, name in BASELINES.items():
        if result["baselines"][key] is not None:
            yield Row(name, _baseline_cells(result["baselines"][key], zero), "reference")


def _fitted(gd: Json) -> str:
    """How many restarts fitted, and how many diverged."""
    diverged = gd.get("diverged")
    return f"{gd['converged']}/{gd['restarts']} fitted" + (f", {diverged} diverged" if diverged else "")


def _law_cells(law: Json | None) -> tuple[str, ...]:
    if law is None:
        return ("none found", "-", "none found", "-")
    relative = law["gen_loss_relative"]
    return (
        _summary(law["gen_loss"], 2),
        rounded(relative and relative[centre([relative])], 2),
        _summary(law["train_loss"], 1),
        _summary(law["effective_rank"], 1),
    )


def _summary(summary: Json | None, digits: int) -> str:
    """The mean; where it cannot be believed the median, and the quartiles on a line below."""
    if summary is None:
        return "-"
    if doubtless(summary):
        return with_error(summary["mean"], summary["mcse"], digits)
    return f"{with_error(summary['q50'], summary['q50_mcse'], digits)} *\n{quartiles(summary['q25'], summary['q75'])}"


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


def cut_lines(result: Json) -> Iterator[str]:
    """What the deadline did to the parts that are there."""
    names = {"gd": "Gradient descent", "map": "MAP", "nuclear_norm": "The least nuclear norm"}
    parts = {"gd": result["gd"], "map": result["map"], "nuclear_norm": result["baselines"]["nuclear_norm"]}
    for part, found in parts.items():
        if found is not None and part in result["reasons"]:
            yield f"{names[part]}: {result['reasons'][part]}."


def legend_line(result: Json) -> str:
    """What the signs in the rows mean."""
    parts = ["± standard error"]
    restarted = result["gd"] is not None or result["map"] is not None
    parts += ["[quartiles] over fitted restarts"] if restarted else []
    parts += ["× zero: relative to zero"] if judged(result) else []
    parts += [MEDIANS] if any(map(_doubted, (result["prior"], result["posterior"]))) else []
    if share := result.get("not_finite"):
        parts += [
            f"{rounded(100 * share)} % of the prior's draws are not finite: they fit nothing and are not in its row"
        ]
    gd = result["gd"]
    if gd is not None:
        parts.append(f"GD: {OPTIMIZERS.get(gd['optimizer'], 'gradient descent')}")
        parts += ["at ε: where a restart first passed it"] if gd["at_eps"] is not None else []
        parts += [reason] if (reason := result["reasons"].get("gd_diverged")) else []
    return "; ".join(parts)


def absent_lines(result: Json) -> Iterator[str]:
    """Why rows that others have are missing here."""
    names = {"gd": "gradient descent", "map": "MAP", **BASELINES, "chance": "chance level"}
    for part, reason in result["reasons"].items():
        yield f"No {names.get(part, part.replace('_', ' '))}: {reason}"


MEDIANS = "* median [quartiles], as the mean cannot be believed"


def _doubted(law: Json | None) -> bool:
    """Whether the table has medians of a law."""
    shown = ("gen_loss", "train_loss", "effective_rank")
    return law is not None and any(law[name] is not None and not doubtless(law[name]) for name in shown)


def better_lines(result: Json) -> Iterator[str]:
    """How often a draw that fits generalises better than one of the prior."""
    chance = result["better_than_prior"]
    if chance is not None:
        yield f"P(a draw that fits generalises better than one of the prior) = {probability(chance)}"


def probability(chance: Json) -> str:
    """An estimated probability with its error; of 0 and 1 it is not known how far they are from being so."""
    if chance["estimate"] in (0.0, 1.0) and chance["mcse"] is None:
        return f"{chance['estimate']:.0f} of all pairs"
    return with_error(chance["estimate"], chance["mcse"], 1)


def volume_lines(result: Json) -> Iterator[str]:
    """How rare a fit is."""
    volume, evidence, reached = result["log_volume"], result["log_evidence"], result["reached"]
    if evidence is not None:
        yield f"log evidence = {with_error(evidence['estimate'], evidence['mcse'])}"
    if volume is not None:
        yield from _volume_lines(volume, "fit")
    if reached is not None:
        yield from _volume_lines(reached["log_volume"], f"L_train < {reached['eps']:.3g}")


def _volume_lines(volume: Json, event: str) -> Iterator[str]:
    low, high = volume["ci95"]
    verb = "fits" if event == "fit" else "does"
    if volume["estimate"] is not None:
        estimate = with_error(volume["estimate"], volume["mcse"])
        interval = "" if low is None or high is None else f", 95 % [{low:.2f}, {high:.2f}]"
        yield f"log P({event}) = {estimate}{interval}: 1 prior draw in {one_in(volume['estimate'])} {verb}"
    elif high is not None and high < 0:
        yield f"log P({event}) < {high:.2f} (95 %): fewer than 1 prior draw in {one_in(high)} {verb}"
