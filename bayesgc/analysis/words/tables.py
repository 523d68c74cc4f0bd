"""Comparison as tables for a terminal of eighty columns and for notebooks, made with rich."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.text import Text

from bayesgc.analysis.ends import STOPPED, cut_short
from bayesgc.analysis.equal_fit import compared
from bayesgc.analysis.measures import Measure, exact, measures_of
from bayesgc.analysis.tails import doubtless, few_islands
from bayesgc.analysis.words.fitted import FittedTable
from bayesgc.analysis.words.kinds import ALONE, about_their_fits, kinds, names_in_sentences, other_tasks, unlike
from bayesgc.analysis.words.numerals import chance_in_words, count_word, rounded, with_error
from bayesgc.analysis.words.predicted import HEADINGS, NOTE, predicted_row, predicted_sentence
from bayesgc.analysis.words.sentences import provisional
from bayesgc.analysis.words.wording import EXACT
from bayesgc.intervals import MARGIN

if TYPE_CHECKING:
    from bayesgc.analysis.compare.compare import Comparison

Json = dict[str, Any]

WIDTH = 80
_LABEL_WIDTH = 12


def as_text(renderable: RenderableType, width: int = WIDTH) -> str:
    """The plain text of ``renderable``, as a terminal of that width shows it."""
    # In a notebook rich would show the tables there and then, whatever the file.
    console = Console(file=io.StringIO(), width=width, force_terminal=False, force_jupyter=False)
    console.print(renderable)
    return console.file.getvalue().rstrip() + "\n"  # type: ignore[attr-defined]


def comparison_tables(comparison: Comparison) -> RenderableType:
    """Losses, rarity, mechanisms and differences, each in a table with one row a result; those of each kind apart."""
    results, names = comparison.results, _names(comparison.results)
    found = kinds(results)
    first, *_ = found.values()
    parts = [part for places in found.values() for part in _of_one_kind(*_chosen(places, results, names))]
    called = names_in_sentences(results, names)
    differences = [
        comparison.differences[place - 1] | {"label": called[place], "against": called[0]} for place in first[1:]
    ]
    paired = [each for each in comparison.paired if len(found) == 1 or each["factor"] is not None]
    measure = _shared(results)[0]
    one_task = [place for place in first[1:] if comparison.differences[place - 1]["same_task"]]
    same = [each for each in differences if each["same_task"]]
    parts += [_differences(same, [names[place] for place in (0, *one_task)], measure)] if same else []
    parts += [_paired(paired, measure)] if paired else []
    sentences = [Text(_sentence(each, measure), style="bold") for each in paired or same]
    sentences += [Text(line, style="bold") for line in ([] if paired else other_tasks(differences))]
    sentences += [Text(ALONE, style="bold")] if len(results) == 1 else []
    sentences += [Text(line) for line in provisional(results, called)]
    key = [] if names[0] == results[0]["label"] else [*_key(results, names), Text()]
    opening = [Text(line, style="bold") for line in unlike(found, names)]
    above = [*key, *opening, *([Text()] if opening else [])]
    return Group(*above, *(each for part in filter(None, parts) for each in (*part, Text())), *sentences)


def _chosen(places: Sequence[int], results: Sequence[Json], names: Sequence[str]) -> tuple[list[Json], list[str]]:
    return [results[place] for place in places], [names[place] for place in places]


def _of_one_kind(results: Sequence[Json], names: Sequence[str]) -> list[list[RenderableType]]:
    """The tables of results of one kind."""
    parts = [_losses(results, names)] if _judged(results) else []
    if any(each["hidden"] for each in results):
        rows = [predicted_row(name, each) for name, each in zip(names, results, strict=True)]
        parts += [_known_part(HEADINGS, rows, NOTE)]
    parts += [_fits(results, names)] if any(each["gd"] for each in results) else []
    parts += [_standings(results, names)]
    if any(each["dependence"] or each["spectrum"]["prior"] for each in results):
        parts += [_mechanisms(results, names)]
    return parts


def simple_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> FittedTable:
    """Text in the first column, numbers in the others; nothing is read as markup."""
    table = FittedTable(headings)
    for row in rows:
        table.add_row(*row)
    return table


def _known_part(headings: Sequence[str], rows: Sequence[Sequence[str]], note: str) -> list[RenderableType]:
    """The same with a note, without the columns that say nothing of any row; nothing where none says anything."""
    kept = [place for place in range(len(headings)) if not place or any(row[place] != "-" for row in rows)]
    if len(kept) == 1:
        return []
    table = simple_table([headings[place] for place in kept], [[row[place] for place in kept] for row in rows])
    return [table, *([Text(note, style="dim")] if note else [])]


def _judged(results: Sequence[Json]) -> bool:
    """Whether any result knows the measure of generalisation by which they are told."""
    name = _shared(results)[0].name
    return any((each["prior"] or {}).get(name) is not None for each in results)


def _names(results: Sequence[Json]) -> list[str]:
    """The labels where they are short; else numbers, which a key explains."""
    labels = [each["label"] for each in results]
    return labels if max(map(len, labels)) <= _LABEL_WIDTH else [str(i + 1) for i in range(len(labels))]


def _key(results: Sequence[Json], names: Sequence[str]) -> list[RenderableType]:
    return [Text(f"{name:>2}  {each['label']}") for name, each in zip(names, results, strict=True)]


def _shared(results: Sequence[Json]) -> tuple[Measure, Measure]:
    """The measures of generalisation and of fit by which the first result is told, and the others beside it."""
    first = measures_of(results[0])
    return first.generalisation, first.fit


def _losses(results: Sequence[Json], names: Sequence[str]) -> list[RenderableType]:
    measure, _ = _shared(results)
    rows = [
        (name, _loss(each, "prior", measure), _fits_loss(each, measure), _descent(compared(each), measure))
        for name, each in zip(names, results, strict=True)
    ]
    first = "fitted" if measures_of(results[0]).counted else "passed ε, at ε = 0 at their end"
    note = f"{measure.average} ± standard error"
    note += "; below: median [quartiles]" if any("\n" in row[2] for row in rows) else ""
    note += f"; GD: median [quartiles] where restarts first {first}" if any(row[3] != "-" for row in rows) else ""
    if any("*" in cell for row in rows for cell in row[1:3]):
        note += "; *: median, as the mean cannot be believed"
    if few := [name for name, each in zip(names, results, strict=True) if few_islands(each)]:
        note += f"; G&C of {', '.join(few)}: from few islands, whose errors are hardly known"
    if any(each["not_finite"] for each in results):
        shares = ", ".join(f"{rounded(100 * each['not_finite'])} %" for each in results)
        note += f"; prior: of its finite draws, the others fit nothing (not finite: {shares})"
    return _known_part((measure.heading, "prior", "G&C posterior", "GD, at equal fit"), rows, note)


def _fits(results: Sequence[Json], names: Sequence[str]) -> list[RenderableType]:
    """How well the posterior and gradient descent fit, and what descent gains beyond ε."""
    rows, (gen, fit) = [], _shared(results)
    for name, each in zip(names, results, strict=True):
        ours, gd = (each["posterior"] or {}).get(fit.name), each["gd"] or {"at_eps": None}
        ends = (_median(gd["at_eps"], fit), _median(gd, fit), _median(gd, gen))
        shown = "-" if ours is None else EXACT if exact(each) else fit.number(ours["q50"], 2)
        rows.append((name, shown, *ends))
    measures = measures_of(results[0])
    alike = ", so only at ε are their L_gen alike to compare." if _judged(results) else "."
    notes = ["", f"At its end descent fits better than the posterior{alike}"]
    if measures.counted:
        notes = [
            "Training labels that are wrong.",
            " After its first fit descent goes on, though no error may be left.",
        ]
    stopped = [name for name, each in zip(names, results, strict=True) if cut_short(each["gd"] or {})]
    notes += [f" Of {', '.join(stopped)} it was {STOPPED}."] if stopped else []
    note = "".join(notes if any(cell != "-" for row in rows for cell in row[2:]) else notes[:1])
    headings = (fit.symbol, "G&C posterior", "GD, at ε", "GD, at its end", f"its {gen.heading} there")
    if measures.counted:
        headings = ("errors", "G&C posterior", "GD, first fit", "GD, at its end", f"its {gen.heading}")
    return _known_part(headings, rows, note)


def _median(gd: Json | None, measure: Measure) -> str:
    spread = None if gd is None else gd.get(measure.name)
    return "-" if spread is None else measure.number(spread["median"], 2, bare=True)


def _standings(results: Sequence[Json], names: Sequence[str]) -> list[RenderableType]:
    measure, _ = _shared(results)
    named = {measure.name: measure.symbol} if _judged(results) or measures_of(results[0]).labelled else {}
    named |= {} if measures_of(results[0]).labelled else _OF_MATRICES
    rows = [
        (
            name,
            _estimate(each["rarity"], "bits", 1),
            _below(each["below"]),
            *(_quantile(each["standing"]["gd"], which) for which in named),
        )
        for name, each in zip(names, results, strict=True)
    ]
    deltas = {measure.number(each["below"]["delta"], 2) for each in results if each["below"]}
    shown = f" Here δ = {' or '.join(sorted(deltas))}." if deltas else ""
    first, *others = named.values()
    at, dots = "its first fit" if measures_of(results[0]).counted else "ε", " …" if others else ""
    share = f"the posterior's share below GD's median at {at}; 0.5 is typical."
    placed = f" GD in {first}{dots}: {share}" if any(cell != "-" for row in rows for cell in row[3:]) else ""
    note = f"bits: −log₂ P(fit).{placed}{shown}"
    headings = ("rarity", "bits", f"P({first}<δ|fit)", f"GD in {first}", *(f"in {other}" for other in others))
    return _known_part(headings, rows, note)


_OF_MATRICES = {"effective_rank": "rank", "nuclear_norm": "nuc. norm"}


def _mechanisms(results: Sequence[Json], names: Sequence[str]) -> list[RenderableType]:
    rows = []
    for name, each in zip(names, results, strict=True):
        dependence, spectrum = each["dependence"], each["spectrum"]
        gap, limit = spectrum["prior"] and spectrum["prior"]["gap_per_layer"], spectrum["lyapunov"]
        rows.append((
            name,
            "-" if dependence is None else with_error(dependence["spearman"], dependence["spearman_mcse"], 1),
            "-" if dependence is None else chance_in_words(dependence["p_value"]),
            *(_ratio(spectrum[law]) for law in ("prior", "posterior")),
            "-" if gap is None else with_error(gap["mean"], gap["mcse"], 1),
            "-" if limit is None else rounded(limit["gap"]),
        ))  # fmt: skip
    note = "ρ: Spearman of fit and generalisation under the prior; p: of their independence."
    headings = ("mechanisms", "ρ", "p", "σ₂/σ₁ prior", "G&C", "gap", "limit")
    if all(each["spectrum"]["prior"] is None for each in results):
        return [simple_table(headings[:3], [row[:3] for row in rows]), Text(note, style="dim")]
    note = "σ₂/σ₁: median. gap: prior mean of log(σ₁/σ₂) a layer; limit: as d → ∞, linear."
    if any(each["dependence"] for each in results):
        note = f"ρ: Spearman of training and held-out loss under the prior; p: of their independence. {note}"
    return _known_part(headings, rows, note)


def _differences(differences: Sequence[Json], names: Sequence[str], measure: Measure) -> list[RenderableType]:
    rows, how_likely = [], _how_likely(differences)
    for name, each in zip(names[1:], differences, strict=True):
        apart = (each["distance"] or {}).get(measure.name) or {}
        rows.append((
            f"{name} − {names[0]}",
            _change(each, measure),
            *(_estimate(each[bits], "difference") for bits in how_likely),
            measure.number(apart.get("wasserstein"), 2),
            *(() if measure.percent else (rounded(apart.get("kl"), 2),)),
        ))  # fmt: skip
    which, kl = ("W₁", ()) if measure.percent else ("W₁ and KL (nats)", ("KL",))
    apart_note = f"{which}: how far apart the posteriors of {measure.symbol} are."
    note = (
        apart_note if any((each["distance"] or {}).get(measure.name) for each in differences) else ""
    ) + _evidence_note(how_likely)
    if any(each["shared_draws"] for each in differences):
        note += " Without ±: the runs share their random numbers; give another `seed` for an error."
    headings = ("difference", _delta(measure), *(_BITS[bits] for bits in how_likely), "W₁", *kl)
    return _known_part(headings, rows, note.strip())


def _delta(measure: Measure) -> str:
    return "Δ test error (%)" if measure.percent else f"Δ{measure.average}"


def _change(each: Json, measure: Measure | str) -> str:
    """The difference of two means, where both can be believed."""
    medians = each["factor"] is not None and each["factor"]["statistic"] == "median"
    if medians:
        return "-"
    if isinstance(measure, str):
        return _estimate(each[measure], "difference")
    found = each.get(measure.name)
    return "-" if found is None else measure.estimate(found["difference"], found["mcse"], bare=True)


_BITS = {"bits": "Δ bits", "evidence_bits": "log₂ Bayes f."}


def _how_likely(gaps: Sequence[Json]) -> list[str]:
    """By what the data tell two results apart: how rare their fits are, or at exact fits their evidence."""
    return [bits for bits in _BITS if any(each[bits] is not None for each in gaps)] or ["bits"]


def _evidence_note(how_likely: Sequence[str]) -> str:
    return " Bayes f.: the evidence over the first's." if "evidence_bits" in how_likely else ""


def _paired(paired: Sequence[Json], measure: Measure) -> list[RenderableType]:
    how_likely = _how_likely(paired)
    relative: list[str] = [] if measure.percent else ["gen_loss_relative"]
    shown: list[Measure | str] = [measure, *relative]
    rows = [
        (
            f"{each['label']} − {each['against']}",
            str(each["tasks"]),
            *(_change(each, name) for name in shown),
            *(_estimate(each[name], "difference") for name in how_likely),
        )
        for each in paired
    ]
    headings = (
        "paired over tasks",
        "tasks",
        _delta(measure),
        *("× zero" for _ in relative),
        *(_BITS[bits] for bits in how_likely),
    )
    note = f"± standard error, from the spread over tasks.{_evidence_note(how_likely)}"
    return [simple_table(headings, rows), Text(note, style="dim")]


def _sentence(each: Json, measure: Measure) -> str:
    """Which of two generalises better, that they are alike, or that it cannot be told; and what to know of their ε."""
    factor, pair = each["factor"], f"{each['label']} and {each['against']}"
    if factor is None and each.get("hidden"):
        return predicted_sentence(each)
    if factor is None:
        return f"Of {pair} at least one has no known generalisation."
    return f"{_verdict(each, factor, measure, pair)}{about_their_fits(each)}"


def _verdict(each: Json, factor: Json, measure: Measure, pair: str) -> str:
    tasks = f" over {each['tasks']} tasks" if "tasks" in each else ", on this task"
    numbers = f"{factor_words(factor, measure)}{tasks}"
    if each.get("shared_draws"):
        return f"The runs share their random numbers, so no error is known: {pair} ({numbers})."
    standing = factor["standing"]
    if standing == "alike":
        return f"Generalise alike, to within {WITHIN}: {pair} ({numbers})."
    if standing == "undecided":
        return f"{_undecided(each)} between {pair} ({numbers}).{_these_tasks(each)}"
    return f"Generalises {BETTER[standing]}: {each['label']}, than {each['against']} ({numbers})."


BETTER = {"lower": "better", "higher": "worse"}
WITHIN = f"{MARGIN - 1:.0%}".replace("%", " %")


def factor_words(factor: Json, measure: Measure) -> str:
    """The factor between two losses with its interval: ``L_gen × 0.230, 95 % 0.18 to 0.29``."""
    ends = "" if factor["ci95"] is None else f", 95 % {interval_words(factor['ci95'])}"
    which = "median " if factor["statistic"] == "median" else ""
    return f"{which}{measure.symbol} × {rounded(factor['estimate'])}{ends}"


def interval_words(ends: Sequence[float | None]) -> str:
    """``0.18 to 0.29``; an end beyond all numbers is ∞."""
    return " to ".join("∞" if end is None else rounded(end) for end in ends)


def _undecided(each: Json) -> str:
    """Who or what cannot decide."""
    if "tasks" not in each:
        return "The errors of the two runs cannot decide"
    lacking = each["tasks"] - each["factor"]["tasks"]
    if lacking:
        return f"{lacking} of {each['tasks']} tasks have no number, so nothing is decided"
    return f"{count_word(each['tasks']).capitalize()} tasks cannot decide"


def _these_tasks(each: Json) -> str:
    """What sampling alone says, where the tasks are too few or too different to speak for others."""
    factor = each["factor"]
    if "tasks" not in each or factor["of_these_tasks"] not in BETTER:
        return ""
    says = BETTER[factor["of_these_tasks"]]
    ends = interval_words(factor["sampling_ci95"])
    return f" On these very tasks {each['label']} generalises {says} ({ends} by the error of sampling alone)."


def _loss(each: Json, name: str, measure: Measure) -> str:
    law = each[name]
    if law is None or law.get(measure.name) is None:
        return "none found" if law is None else "-"
    loss = law[measure.name]
    if doubtless(loss):
        return measure.estimate(loss["mean"], loss["mcse"], bare=True)
    return f"{measure.estimate(loss['q50'], loss['q50_mcse'], bare=True)} *"


def _fits_loss(each: Json, measure: Measure) -> str:
    """The posterior's mean, and where descent stands beside it the numbers that are like those of descent."""
    shown, loss = _loss(each, "posterior", measure), (each["posterior"] or {}).get(measure.name)
    if loss is None or _descent(compared(each), measure) == "-":
        return shown
    return f"{shown}\n{_descent({measure.name: loss | {'median': loss['q50']}}, measure)}"


def _descent(gd: Json | None, measure: Measure) -> str:
    spread = None if gd is None else gd.get(measure.name)
    if spread is None:
        return "-"
    ends = measure.quartiles(spread["q25"], spread["q75"], bare=True)
    return f"{measure.number(spread['median'], 2, bare=True)} {ends}"


def _below(below: Json | None) -> str:
    if below is None or below["posterior"] is None:
        return "-"
    share = below["posterior"]["estimate"]
    return {0.0: "none seen", 1.0: "all"}.get(share, _estimate(below["posterior"], "estimate", 1))


def _estimate(found: Json | None, name: str, digits: int = 2) -> str:
    return "-" if found is None else with_error(found[name], found["mcse"], digits)


def _quantile(place: Json | None, name: str) -> str:
    if place is None or place.get(name) is None:
        return "-"
    share = place[name]["quantile"]
    return {0.0: "below all", 1.0: "above all"}.get(share, with_error(share, place[name]["mcse"], 1))


def _ratio(law: Json | None) -> str:
    return "-" if law is None else rounded(law["ratio"]["median"], 2)
