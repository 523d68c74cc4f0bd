"""The page about one result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from bayesgc.analysis import plots
from bayesgc.analysis.compare.compare import compare
from bayesgc.analysis.diagnose import Diagnosis, diagnose
from bayesgc.analysis.functions import FUNCTION_POINTS, functions
from bayesgc.analysis.measures import MEASURES, measures_in, measures_of
from bayesgc.analysis.plots.calibration import calibration_title
from bayesgc.analysis.plots.chains import in_chains, ranks_title
from bayesgc.analysis.plots.curve import curve_of, curve_title, descent_beside, rarity_title
from bayesgc.analysis.plots.functions import functions_title
from bayesgc.analysis.plots.joint import joint_title, shared_points
from bayesgc.analysis.plots.levels import levels_title
from bayesgc.analysis.plots.look import names_in
from bayesgc.analysis.plots.losses import losses_title
from bayesgc.analysis.plots.spectrum import spectrum_title
from bayesgc.analysis.report import charts
from bayesgc.analysis.report.page import Page, Picture, Section, Table
from bayesgc.analysis.report.rerun import rerun_command, why_no_command
from bayesgc.analysis.report.stills import data_uri
from bayesgc.analysis.tree.groups import has
from bayesgc.analysis.tree.summary import Json, cell_labels, result_object
from bayesgc.analysis.words.legend import legend_line
from bayesgc.analysis.words.numerals import chance_in_words, in_sentences, rounded, with_error
from bayesgc.analysis.words.reliance import reliance
from bayesgc.analysis.words.sentences import FACTS
from bayesgc.analysis.words.wording import (
    absent_lines,
    cut_lines,
    headings,
    judged,
    law_rows,
    model_line,
    run_line,
    task_line,
)
from bayesgc.validate import InputError

_MOST_CELLS = 400
"""Cells listed one by one; a larger table is in the file."""


def result_page(tree: xr.DataTree, origin: Path) -> Page:
    """What the result says, how it looks, whether to rely on it, and how to run it again."""
    result, diagnosis = result_object(tree), diagnose(tree)
    return Page(
        title=_kind(result),
        question=_question(result),
        answer=result["verdict"],
        facts=_facts(result, origin),
        warning=_warning(diagnosis),
        sections=tuple(_sections(tree, result, diagnosis, origin)),
        made_by=f"bayesgc {result['version']}",
        losses=not measures_of(result).classes,
    )


_STANDING = "Where gradient descent stands among what fits, at equal fit, and why fitting helps or does not."


def _sections(tree: xr.DataTree, result: Json, diagnosis: Diagnosis, origin: Path) -> Iterator[Section]:
    if result["unobserved"]:
        yield _cells(tree, result)
    yield Section("numbers", "Numbers", tables=(_laws(result),))
    yield Section("pictures", "Pictures", pictures=tuple(_pictures(tree, result)))
    if mechanisms := (*_mechanisms(tree, judged(result)), *_margins(tree, result)):
        yield Section("mechanisms", "Mechanisms", tables=mechanisms)
    answer = f"{'Yes' if diagnosis.healthy else 'No'}. {reliance(diagnosis)}."
    yield Section("diagnostics", "Can it be relied on?", (answer,), tables=(_checks(diagnosis),))
    yield _again(tree, result, origin)


def _kind(result: Json) -> str:
    return "A completed table" if result["unobserved"] else "Do weights that merely fit generalise?"


def _question(result: Json) -> str:
    if result["unobserved"]:
        return "What do weights that fit the observed cells say of the missing ones?"
    return "How well do weights that merely fit, drawn from the prior, generalise, and gradient descent?"


def _warning(diagnosis: Diagnosis) -> str:
    grave = [check for check in diagnosis.checks if check.status == "wrong"]
    return " ".join(f"{check.name}: {check.advice}" for check in grave)


def _facts(result: Json, origin: Path) -> tuple[tuple[str, tuple[str, ...]], ...]:
    lines = {"File": origin.name, "Task": task_line(result["task"]), "Model": model_line(result["model"])}
    facts = [(about, (line,)) for about, line in {**lines, "Run": run_line(result)}.items()]
    told = {about: tuple(lines(result)) for about, lines in FACTS.items()}
    return (*facts, *((about, lines) for about, lines in told.items() if lines))


def _laws(result: Json) -> Table:
    rows = list(law_rows(result))
    notes = (legend_line(result), *absent_lines(result), *(line.removesuffix(".") for line in cut_lines(result)))
    what = "Errors" if measures_of(result).classes else "Losses"
    return Table(
        caption=f"{what} under each law and of the reference points. {in_sentences(notes)}",
        headings=("Law", *headings(result)),
        rows=[(row.name, *row.cells) for row in rows],
        marks={place: row.kind for place, row in enumerate(rows)},
    )


def _mechanisms(tree: xr.DataTree, known: bool) -> Iterator[Table]:
    """Where gradient descent stands, and the two mechanisms, as the comparison of this one result says."""
    if not known:
        return
    (entry,) = compare(tree).results
    rows: list[tuple[str, ...]] = [*_standing_rows(entry), *_dependence_rows(entry), *_spectrum_rows(entry)]
    if rows:
        yield Table(_STANDING, ("Quantity", "Value", "Meaning"), rows, last=1)


def _margins(tree: xr.DataTree, result: Json) -> Iterator[Table]:
    """How safely the training labels are right under each law."""
    rows: list[tuple[str, ...]] = [
        (names_in(tree)[law], *_margin_cells(found["margin"]), *_margin_cells(found["scale"]))
        for law, found in (result["margins"] or {}).items()
        if found is not None
    ]
    if rows:
        caption = (
            "The smallest margin by which a draw has a training label right, over the scale of its outputs. ReLU "
            "networks without biases may be scaled at will: their scale alone says nothing."
        )
        spread = "median [quartiles]"
        unknown = any(found[name]["mcse"] is None for found in result["margins"].values() if found for name in found)
        caption += _NO_ERROR if unknown else ""
        yield Table(caption, ("Law", "mean smallest margin", spread, "mean scale of outputs", spread), rows)


def _margin_cells(found: Json) -> tuple[str, str]:
    ends = f"{rounded(found['median'], 2)} [{rounded(found['q25'], 2)}, {rounded(found['q75'], 2)}]"
    mean = rounded(found["mean"]) if found["mcse"] is None else with_error(found["mean"], found["mcse"], 1)
    return mean, ends


_NO_ERROR = " Without ±: no error is known, as where outputs that are all alike have no scale."


def _standing_rows(entry: Json) -> Iterator[tuple[str, str, str]]:
    names = {name: measure.words for name, measure in MEASURES.items()}
    for name, place in (entry["standing"]["gd"] or {}).items():
        if place is not None:
            value = {0.0: "below all", 1.0: "above all"}.get(
                place["quantile"], with_error(place["quantile"], place["mcse"], 1)
            )
            yield (
                f"GD's {names.get(name, name.replace('_', ' '))}",
                value,
                "share of the posterior below; 0.5 is typical",
            )
    if entry["below"] is not None and entry["below"]["posterior"] is not None:
        measures = measures_of(entry)
        share, bound = entry["below"]["posterior"], measures.generalisation.number(entry["below"]["delta"], 2)
        value = {0.0: "none seen", 1.0: "all"}.get(share["estimate"], with_error(share["estimate"], share["mcse"], 1))
        of_zero = "the zero matrix's loss" if not measures.labelled else f"that of {measures.ignorant.relative}"
        yield f"P({measures.generalisation.symbol} < {bound} | fit)", value, f"δ is a tenth of {of_zero}"


def _dependence_rows(entry: Json) -> Iterator[tuple[str, str, str]]:
    found = entry["dependence"]
    if found is not None:
        value = with_error(found["spearman"], found["spearman_mcse"], 1)
        p_value = chance_in_words(found["p_value"])
        both = (
            "errors in training and test"
            if measures_of(entry).classes
            else f"training and {'test' if measures_of(entry).labelled else 'held-out'} loss"
        )
        yield "Spearman's ρ under the prior", value, f"of {both}; 0 where fitting teaches nothing"
        yield "p of their independence", p_value, "a G-test on classes of the ranks"


def _spectrum_rows(entry: Json) -> Iterator[tuple[str, str, str]]:
    spectrum = entry["spectrum"]
    for law, name in (("prior", "prior"), ("posterior", "G&C posterior"), ("gd", "GD at equal fit")):
        if spectrum[law] is not None:
            yield f"σ₂/σ₁, {name}", rounded(spectrum[law]["ratio"]["median"], 2), "median; 0 is rank one"
    gap, limit = spectrum["prior"] and spectrum["prior"]["gap_per_layer"], spectrum["lyapunov"]
    if gap is not None and limit is not None:
        value = with_error(gap["mean"], gap["mcse"], 1)
        yield "log(σ₁/σ₂) a layer, prior", value, f"{rounded(limit['gap'])} as the depth grows (Newman 1986)"


def _cells(tree: xr.DataTree, result: Json) -> Section:
    """The missing cells with their intervals."""
    cells = result["unobserved"]
    labels, meaning = tuple(cell_labels(cells[0])), result["unobserved_intervals"]["meaning"]
    rows = [
        (*cell_labels(cell).values(), *(rounded(cell[key], 4) for key in ("mean", "q05", "q95", "sd")))
        for cell in cells[:_MOST_CELLS]
    ]
    shown = f"the first {_MOST_CELLS} of {len(cells)}" if len(cells) > _MOST_CELLS else f"all {len(cells)}"
    caption = f"Missing cells in the table's own units ({shown}): mean, 90 % interval and standard deviation {meaning}."
    headings = (*labels, "mean", "5 %", "95 %", "sd")
    which = (
        f"the first {charts.CELLS} of {len(cells)} missing cells" if len(cells) > charts.CELLS else "the missing cells"
    )
    picture = _picture(
        "cells",
        f"What weights that fit say of {which}",
        f"Mean and 90 % interval {meaning}; point at one to see it in the table's own units.",
        plots.plot_cells(tree),
        lambda: charts.cells_chart(tree, cells),
    )
    table = Table(caption, headings, rows, first=len(labels))
    return Section("cells", "Missing cells", tables=(table,), pictures=(picture,))


def _picture(key: str, title: str, words: str, still: Figure, live: Callable[[], Any] | None) -> Picture:
    for axes in still.axes:
        if axes.get_title(loc="left") == title:
            axes.set_title("", loc="left")  # the caption has it
    title = title.replace("\n", " ")
    return Picture(key, f"{title}.", words, f"{title}. {words}", data_uri(still), None if live is None else live())


def _pictures(tree: xr.DataTree, result: Json) -> Iterator[Picture]:
    measures = measures_of(result)
    first = "fitted" if measures.counted else "passed ε"
    if not result["unobserved"]:
        words = (
            f"Histograms of the draws, restarts where they first {first} and at their end, dashed lines at the "
            "reference points."
        )
        live = lambda: charts.losses_chart(tree, result)  # noqa: E731
        yield _picture("losses", losses_title(result), words, plots.plot_losses(tree), live)
    yield from _curve_picture(tree)
    if has(tree, "prior", measures.generalisation.name):
        both = "errors in training and test" if measures.classes else "both losses"
        words = f"Each draw by {both}; if they were independent, fitting would teach nothing."
        if "close fits" in (title := joint_title(tree)):
            words += (
                " ρ is of all draws of the prior, most of which fit badly; the ε-curve is about the few close fits."
            )
        if shared := shared_points(tree):
            words += f" {shared}"
        yield _picture("joint", title, words, plots.plot_joint(tree), lambda: charts.joint_chart(tree))
    yield from _prediction_pictures(tree, result)
    if has(tree, "prior", "singular_value"):
        words = "Medians and quartiles of the singular values, relative to the largest."
        live = lambda: charts.spectrum_chart(tree)  # noqa: E731
        yield _picture("spectrum", spectrum_title(tree), words, plots.plot_spectrum(tree), live)
    if _climbs(tree, "acceptance"):
        levels = tree["levels"].to_dataset()
        title = levels_title(levels.isel(level=np.isfinite(levels["threshold"].values + levels["acceptance"].values)))
        words = "Moves accepted at each level, and particles of the prior that those of an island descend from."
        yield _picture("levels", title, words, plots.plot_levels(tree), lambda: charts.levels_chart(tree))
    if in_chains(tree):
        words = "Ranks of each chain's draws among all, as ECDFs less that of a uniform law."
        yield _picture("ranks", ranks_title(tree), words, plots.plot_ranks(tree), None)


def _curve_picture(tree: xr.DataTree) -> Iterator[Picture]:
    """How generalisation and volume change with the fit, where more than one is known."""
    curve = curve_of(tree)
    if curve is not None and _known(curve, "log_volume") > 1:
        words = "The ε-curve, with 95 % bands: the estimate at every threshold on the way."
        if measures_in(tree).counted:
            words = "How the two change with the number of training errors that are allowed, with 95 % bands."
        known = _known(curve, "generalisation") > 0
        if known and descent_beside(tree) is not None:
            words += (
                " Beside it gradient descent where it first was at or below each threshold, median and quartiles over "
                "restarts."
            )
        title = curve_title(tree) if known else rarity_title(tree)
        yield _picture("curve", title, words, plots.plot_curve(tree), lambda: charts.curve_chart(tree))


def _prediction_pictures(tree: xr.DataTree, result: Json) -> Iterator[Picture]:
    """Whether the vote is calibrated, and which functions descent finds."""
    if (found := (result["calibration"] or {}).get("posterior")) is not None:
        words = (
            "The share of the draws that give a test example a class against how many of these are right; an example "
            "counts once for each class. Bars are 95 % intervals: across of the draws, upright of the test examples."
        )
        yield _picture("calibration", calibration_title(found), words, plots.plot_calibration(tree), None)
    try:
        title = functions_title(functions(tree, min(FUNCTION_POINTS, result["task"]["held_out"])))
    except InputError:
        return
    words = (
        "Each function on the first test examples by how probable it is given the fit, and by how many restarts found "
        "it where they first fitted; hollow where one of the two has not seen it."
    )
    yield _picture("functions", title, words, plots.plot_functions(tree, FUNCTION_POINTS), None)


def _climbs(tree: xr.DataTree, name: str) -> bool:
    """Whether a quantity is known at more thresholds than one."""
    return "levels" in tree.children and _known(tree["levels"].to_dataset(), name) > 1


def _known(levels: xr.Dataset, name: str) -> int:
    """At how many thresholds a quantity is known."""
    return int(np.isfinite(levels["threshold"].values + levels[name].values).sum())


def _checks(diagnosis: Diagnosis) -> Table:
    rows: list[tuple[str, ...]] = []
    for check in diagnosis.checks:
        found = rounded(check.found) if isinstance(check.found, float) else str(check.found or "-")
        rows.append((check.name, found, str(check.limit), check.status, check.advice or "-"))
    marks = {place: check.status for place, check in enumerate(diagnosis.checks)}
    headings: tuple[str, ...] = ("Check", "Found", "Wanted", "Status", "What to do")
    caption = f"The checks that suit {diagnosis.method}, with their limits."
    if not any(check.advice for check in diagnosis.checks):
        headings, rows = headings[:-1], [row[:-1] for row in rows]
    return Table(caption, headings, rows, marks, first=1, last=2)


def _again(tree: xr.DataTree, result: Json, origin: Path) -> Section:
    command, reason = rerun_command(tree), why_no_command(tree)
    look = f"bayesgc show {origin.name}\nbayesgc diagnose {origin.name}"
    code = [("In a shell", command)] if command else []
    words = () if reason is None else (f"{reason[0].upper()}{reason[1:]}, so no command line runs it again.",)
    versions = json.dumps(json.loads(tree.attrs["versions"]), indent=2)
    configuration = json.dumps(json.loads(tree.attrs["configuration"]), indent=2)
    facts = json.dumps({name: result[name] for name in ("diagnostics", "seconds", "reasons")}, indent=2)
    folded = (("Full configuration", configuration), ("Diagnostics and times", facts), ("Versions", versions))
    return Section("again", "Run it again", words, code=(*code, ("Look at it again", look)), folded=folded)
