"""A result in words and rows of text, for the terminal's table and the report's alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bayesgc.analysis.ends import end_name
from bayesgc.analysis.measures import Measure, Measures, exact, measures_of
from bayesgc.analysis.tails import centre, doubtless, error_of
from bayesgc.analysis.tree.summary import Json, one_line
from bayesgc.analysis.words.numerals import quartiles, rounded, with_error

BASELINES = {
    "zero": "zero",
    "least_squares": "least squares",
    "nuclear_norm": "nuclear norm",
    "chance": "chance",
    "majority": "most common label",
    "mean": "mean label",
    "nearest_neighbour": "nearest neighbour",
    "logistic": "logistic regression",
    "ridge": "ridge regression",
}
OPTIMIZERS = {
    "group-rmsprop": "RMSprop with one shared average",
    "gd": "plain gradient descent",
    "momentum": "gradient descent with heavy-ball momentum",
    "adam": "Adam",
}
_OF_TABLES = {
    "standardize": ("standardised", "not standardised"),
    "index": ("labels in the first column", "no labels"),
    "header": ("names in the first line", "no names"),
}
"""How the task's line says how a table was read."""
_SIGNS = {
    "separator": "cells separated by {}",
    "decimal": "decimal {}",
    "missing": "missing cells marked {}",
    "columns": "columns {}",
    "drop": "without columns {}",
}
"""The same of the signs and names that were given: in quotation marks, or by their names."""
_FOUND = "signs_found"
"""Which of them nobody asked for."""
_NAMED = {",": "comma", ".": "point"}
_EXACT = 1e-20
_SOME = 0.05
"""Seconds that are worth a word."""


@dataclass(frozen=True)
class Row:
    """One law or reference point: its name, a cell for each of the `headings`, and what kind of row it is."""

    name: str
    cells: tuple[str, ...]
    kind: str


def task_line(task: Json) -> str:
    """The task in one line."""
    if "examples" in task:
        return _examples_line(task)
    said = {"kind", "shape", "measurements", "held_out", "truth_known", "seed", "heading"}
    parts = [f"{task['kind']} {'×'.join(str(side) for side in task['shape'])}"]
    parts += [_said(name, value) for name, value in task.items() if name not in said]
    # Of a table what is not observed is missing: nothing of it is kept to test on.
    table = "standardize" in task and not task["truth_known"]
    observed, rest = ("observed cells", "missing") if table else ("measurements", "held out")
    parts += [f"{task['measurements']} {observed}"] if "measurements" in task else []
    parts += [f"{task['held_out']} {rest}"]
    parts += [f"task seed {task['seed']}"] if "seed" in task else []
    return ", ".join(parts + ([] if task["truth_known"] else ["truth unknown"]))


def _examples_line(task: Json) -> str:
    """Labelled examples: how many of what size, the classes, what a fit is, and what is special about them."""
    features = task["features"]
    size = f"{features[0]} feature{'' if features[0] == 1 else 's'}" if len(features) == 1 else _sides(features)
    parts = [f"{task['kind']}, {task['examples']} examples of {size}"]
    if task["classes"] is not None:
        parts.append(f"classes {_listed(task['classes'])}")
    parts += [
        f"{task['test_examples']} test examples" if task["test_examples"] else "no test set",
        f"fit judged by {task['fit']}{', all labels right' if task.get('right') else ''}",
    ]
    parts += ["no independent sample"] if not task["independent"] else []
    parts += [one_line(task["preparation"])] if "preparation" in task else []
    told = {"kind", "shape", "examples", "features", "classes", "test_examples", "fit", "independent", "preparation"}
    told |= {"eps_low", "right"}
    parts += [_said(name, value) for name, value in task.items() if name not in told | {"held_out", "truth_known"}]
    return ", ".join(parts)


def _listed(classes: list[str], most: int = 10) -> str:
    """``0 and 1``, ``a, b and c``; of many the first ones and how many there are."""
    names = [*map(one_line, classes)]
    if len(names) > most:
        return f"{', '.join(names[: most - 1])} and {len(names) - most + 1} more"
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def _sides(shape: list[int]) -> str:
    return "×".join(str(side) for side in shape)


def _said(name: str, value: object) -> str:
    if name == _FOUND:
        return f"{str(value).replace(', ', ' and ')} found"
    if name in _SIGNS:
        named = name == "separator" and len(str(value)) > 1
        return one_line(_SIGNS[name].format(value if named else _NAMED.get(str(value), f"'{value}'")))
    if name in _OF_TABLES and isinstance(value, bool):
        return _OF_TABLES[name][not value]
    if isinstance(value, bool):
        return f"{'' if value else 'not '}{name.replace('_', ' ')}"
    return one_line(f"{name.replace('_', ' ')} {value}")


def model_line(model: Json) -> str:
    """The model in one line."""
    parts = []
    for name, value in model.items():
        label = name.replace("_", " ")
        if name == "bias":
            parts.append("biases" if value else "no biases")
        elif isinstance(value, bool):
            parts.append(whether(label, value))
        elif value is not None:
            between = (
                "-" if "activation" in model and "bias" in model else ", "
            )  # layers of a network, one after another
            shown = between.join(str(item) for item in value) if isinstance(value, list) else value
            parts.append(str(shown) if name in {"family", "activation", "name", "scaling"} else f"{label} {shown}")
    return ", ".join(parts)


def whether(label: str, value: bool) -> str:
    """A setting that is on or off: ``normalized``, ``not normalized``."""
    adjective = f"{label}d" if label.endswith("e") else label
    return adjective if value else f"not {adjective}"


def run_line(result: Json) -> str:
    """Method, threshold, seed, outcome and time in one line."""
    seconds = result["seconds"]["total"]
    hidden = result["seconds"].get("hidden")
    beside = "" if not hidden or hidden < _SOME else f", {hidden:.1f} s of it for hidden cells"
    took = "" if seconds is None else f" in {seconds:.1f} s{beside}"
    event = measures_of(result).event(result["eps"])
    return f"{result['method']}, {event}, seed {result['seed']}: {result['outcome']}{took}"


def summary_lines(result: Json) -> dict[str, str]:
    """What ran: the task, the model and the run, each in one line."""
    return {"task": task_line(result["task"]), "model": model_line(result["model"]), "run": run_line(result)}


def judged(result: Json) -> bool:
    """Whether generalisation is known."""
    return result["prior"][measures_of(result).generalisation.name] is not None


def headings(result: Json) -> tuple[str, ...]:
    """What the columns of the laws are called."""
    measures = measures_of(result)
    primary = (measures.generalisation.heading, f"× {measures.ignorant.name}") if judged(result) else ()
    rank = () if measures.labelled else ("eff. rank",)
    return (*primary, *(each.symbol for each in measures.columns), *rank)


def law_rows(result: Json) -> Iterator[Row]:
    """Prior, posterior, gradient descent, MAP and the reference points; a second line of a cell holds quartiles.

    Gradient descent has two rows: where it first passed ε, which is at equal fit, and its end.
    """
    columns = _Columns(measures_of(result), judged(result), measures_of(result).known_nothing(result))
    yield Row("prior", columns.of_law(result["prior"]), "law")
    yield _fits_row("G&C posterior", columns.of_fits(result["posterior"], exact=exact(result)))
    if (vote := result.get("ensemble")) is not None:
        yield Row("G&C, by vote", columns.of_vote(vote), "posterior")
    if result["reached"] is not None:
        words = reached_words(result).replace(" < ", "\n< ")
        yield _fits_row(f"where {words}", columns.of_fits(result["reached"]["posterior"]))
    gd, mode = result["gd"], result["map"]
    if gd is not None:
        if gd["at_eps"] is not None:
            first = f"GD, {columns.measures.first_fit}"
            yield Row(f"{first}\n{_fitted(gd['at_eps'])}", columns.of_descent(gd["at_eps"]), "law")
        yield Row(f"GD, {end_name(gd)}\n{_fitted(gd)}", columns.of_descent(gd), "law")
    if mode is not None:
        yield Row(f"MAP, best\n{mode['converged']}/{mode['restarts']} fitted", columns.of_mode(mode), "law")
    for key, name in BASELINES.items():
        if result["baselines"].get(key) is not None:
            yield Row(name, columns.of_reference(result["baselines"][key]), "reference")


def _fits_row(name: str, cells: tuple[str, ...]) -> Row:
    """Draws that fit: where the mean is told, the lines below have what a row of descent has."""
    medians = "\n" not in name and any(cell.count("\n") > 1 for cell in cells)
    return Row(f"{name}\nits median" if medians else name, cells, "posterior")


def reached_words(result: Json) -> str:
    """What the draws short of ε have reached; nothing where there are none."""
    reached = result["reached"]
    return "" if reached is None else measures_of(result).formula(reached["eps"])


def _fitted(gd: Json) -> str:
    """How many restarts fitted, and how many diverged."""
    diverged = gd.get("diverged")
    return f"{gd['converged']}/{gd['restarts']} fitted" + (f", {diverged} diverged" if diverged else "")


@dataclass(frozen=True)
class _Columns:
    """The cells under the `headings`: of generalisation where it is ``judged``, of fit, and of arrays the rank."""

    measures: Measures
    judged: bool
    nothing: float | None

    def of_fits(self, law: Json | None, *, exact: bool = False) -> tuple[str, ...]:
        """The same with the median and the quartiles of the draws on lines below, which the rows of descent have."""
        return self.of_law(law, exact=exact, spread=True)

    def of_law(self, law: Json | None, *, exact: bool = False, spread: bool = False) -> tuple[str, ...]:
        """Means with their errors; of an ``exact`` fit rounding alone is left, which is not told."""
        if law is None:
            return self._joined(("none found", "-"), ("none found",) + ("-",) * (len(self.measures.columns) - 1), "-")
        primary = self.measures.generalisation
        summary = law[primary.name]
        beside = self._relative(law, _centre_of)
        if spread and summary is not None and doubtless(summary):
            beside = f"{beside}\n{self._relative(law, _q50_of)}"
        told = {self.measures.fit.name: EXACT} if exact else {}
        fits = (told.get(each.name) or _summary(law[each.name], 1, each, spread) for each in self.measures.columns)
        rank = _summary(law.get("effective_rank"), 1, spread=spread)
        return self._joined((_summary(summary, 2, primary, spread), beside), fits, rank)

    def of_vote(self, vote: Json) -> tuple[str, ...]:
        """The ensemble's test error; it has no single output, and so nothing of its fit is told."""
        primary = self.measures.generalisation
        shown = primary.estimate(vote[primary.name], vote["mcse"], bare=True)
        return self._joined((shown, self._times(vote[primary.name])), ("",) * len(self.measures.columns), "")

    def of_descent(self, gd: Json) -> tuple[str, ...]:
        """Medians, and the quartiles on a line below."""
        primary = self.measures.generalisation
        beside = self._relative(gd, _median_of)
        fits = (_spread(gd[each.name], measure=each) for each in self.measures.columns)
        return self._joined(
            (_spread(gd[primary.name], measure=primary), beside), fits, _spread(gd.get("effective_rank"))
        )

    def of_mode(self, mode: Json) -> tuple[str, ...]:
        """The restart of least energy, and the quartiles of all on a line below; fits are exact but for rounding."""
        best, primary = mode["best"] or {}, self.measures.generalisation
        gen = _spread(mode[primary.name], best.get(primary.name), primary)
        rank = _spread(mode["effective_rank"], best.get("effective_rank"))
        return self._joined((gen, rounded(best.get("gen_loss_relative"), 2)), ("0" if best else "-",), rank)

    def of_reference(self, point: Json) -> tuple[str, ...]:
        """The measures of a point that are known."""
        primary = self.measures.generalisation
        shown = primary.number(point[primary.name], bare=True)
        fits = (self._fit(each, point.get(each.name)) for each in self.measures.columns)
        return self._joined((shown, self._times(point[primary.name])), fits, "")

    def _relative(self, law: Json, middle: Callable[[Json | None], float | None]) -> str:
        """The middle of a law relative to the reference point; of arrays it was recorded by itself."""
        if not self.measures.labelled:
            return rounded(middle(law["gen_loss_relative"]), 2)
        return self._times(middle(law[self.measures.generalisation.name]))

    def _times(self, value: float | None) -> str:
        return rounded(value / self.nothing if value is not None and self.nothing else None, 2)

    def _fit(self, measure: Measure, value: float | None) -> str:
        # An exact fit leaves rounding errors, which would only distract.
        return "0" if value is not None and value < _EXACT else measure.number(value, bare=True)

    def _joined(self, primary: Iterable[str], fits: Iterable[str], rank: str) -> tuple[str, ...]:
        return (*(primary if self.judged else ()), *fits, *(() if self.measures.labelled else (rank,)))


def _centre_of(summary: Json | None) -> float | None:
    found: float | None = None if summary is None else summary[centre([summary])]
    return found


def _q50_of(summary: Json | None) -> float | None:
    found: float | None = None if summary is None else summary["q50"]
    return found


def _median_of(spread: Json | None) -> float | None:
    found: float | None = None if spread is None else spread["median"]
    return found


def _summary(summary: Json | None, digits: int, measure: Measure | None = None, spread: bool = False) -> str:
    """The mean, with a ``spread`` the median and the quartiles on lines below; these alone where it is not believed."""
    if summary is None:
        return "-"
    mean = doubtless(summary)
    which = "mean" if mean else "q50"
    shown = _estimated(measure, summary[which], error_of(summary, which), digits)
    alike = measure is not None and measure.counts and summary["q25"] == summary[which] == summary["q75"]
    if mean and (alike or not spread):
        return shown
    median = "" if not mean else f"\n{_plain(measure, summary['q50'])}"
    return f"{shown}{'' if mean else ' *'}{median}\n{_quartiles(measure, summary['q25'], summary['q75'])}"


def _spread(spread: Json | None, middle: float | None = None, measure: Measure | None = None) -> str:
    """The median, or another ``middle``, and the quartiles on a line below where there are any to tell."""
    if spread is None:
        return "-"
    value = spread["median"] if middle is None else middle
    shown = _plain(measure, value)
    if measure is not None and measure.counts and spread["q25"] == value == spread["q75"]:
        return shown
    return f"{shown}\n{_quartiles(measure, spread['q25'], spread['q75'])}"


def _plain(measure: Measure | None, value: float | None) -> str:
    return rounded(value) if measure is None else measure.number(value, bare=True)


def _estimated(measure: Measure | None, value: float | None, error: float | None, digits: int) -> str:
    return with_error(value, error, digits) if measure is None else measure.estimate(value, error, digits, bare=True)


def _quartiles(measure: Measure | None, low: float | None, high: float | None) -> str:
    return quartiles(low, high) if measure is None else measure.quartiles(low, high, bare=True)


_PARTS = {"gd": "gradient descent", "gd_at_eps": "gradient descent at ε", "map": "MAP", **BASELINES}
_PARTS |= {"chance": "chance level", "hidden": "comparison on hidden cells"}
"""What the rows of a result are called in sentences."""


def cut_lines(result: Json) -> Iterator[str]:
    """What the deadline did to the parts that are there."""
    for part, reason in result["reasons"].items():
        if part in _PARTS and _is_there(result, part):
            yield f"{_PARTS[part][:1].upper()}{_PARTS[part][1:]}: {reason}."


def _is_there(result: Json, part: str) -> bool:
    """Whether a result has such a row."""
    if part == "gd_at_eps":
        return result["gd"] is not None and result["gd"]["at_eps"] is not None
    return (result.get(part) or result["baselines"].get(part)) is not None


CELLS_SHOWN = 10
"""Missing cells that are listed in a terminal and a notebook."""


def cell_numbers(cell: Json) -> list[str]:
    """Mean and 90 % interval of a missing cell."""
    return [rounded(cell[name], 4) for name in ("mean", "q05", "q95")]


def absent_lines(result: Json) -> Iterator[str]:
    """Why rows that others have are missing here."""
    for part, reason in result["reasons"].items():
        if part != "gd_diverged" and not _is_there(result, part):  # which the legend tells
            yield f"No {_PARTS.get(part, part.replace('_', ' '))}: {reason}"


EXACT = "0 (exact)"
"""What is told of how well draws fit that do so exactly."""
