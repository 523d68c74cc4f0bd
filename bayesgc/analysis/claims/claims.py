"""The claims of the paper, of its open questions and about networks, decided by sweeps and the rule of `decisions`.

Every claim is a number of each task, mostly a ratio of two losses. Where a claim is about every point of an axis, it
is the one about its worst point: it holds when it does at every point, and fails when it fails at some point at the
level 5 % / points (Bonferroni).
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.text import Text

from bayesgc.analysis.claims.decisions import GENERALISES, LEVEL, MARGIN, Claim, Ratio, decide, over, ratio_of
from bayesgc.analysis.claims.equal import equal_fit, fits
from bayesgc.analysis.claims.networks import network_claims
from bayesgc.analysis.claims.open import PAPER_SIDE, infinite_width, measurements_needed, one_axis, small_thresholds
from bayesgc.analysis.claims.stated import Stated, decided
from bayesgc.analysis.equal_fit import descent_variable
from bayesgc.analysis.measures import measures_over
from bayesgc.analysis.tree.panels import axes_of, cut, main_axis
from bayesgc.analysis.tree.stores import load_cells
from bayesgc.analysis.words.fitted import FittedTable
from bayesgc.analysis.words.numerals import count_word, decimals, rounded
from bayesgc.validate import InputError

ENOUGH_TASKS = 6
"""Tasks which, whatever their law, are all on one side of its median, either, with a probability below 5 %."""
CLOSE = 0.1
"""The relative gap below which the posterior has come to the prior."""

_ALONG = {
    "width": (
        Stated(claim="width hurts", at={"width": "last"}, over_at={"width": "first"}, above=MARGIN),
        Stated(
            claim="wide nets are no better than the prior",
            at={"width": "last"},
            over="prior",
            above=1 - CLOSE,
        ),
    ),
    "depth": (Stated(claim="depth helps", at={"depth": "last"}, over_at={"depth": "first"}, below=1 / MARGIN),),
    "measurements": (
        Stated(
            claim="Guess & Check generalises in the end", at={"measurements": "last"}, over="zero", below=GENERALISES
        ),
    ),
}
"""What is claimed of every sweep along an axis."""
_NOT_ODD = "the theorem is about odd activations"

FEW_TASKS = "* a t-interval takes tasks to be normal, which fewer than six cannot show."
"""What is told of the intervals that `numbers_of` marks."""
RULE = (
    "Factors are geometric means over tasks, with t-intervals over tasks; numbers with a unit, and the loss of "
    "gradient descent at its worst place, are plain means. A loss is not below zero: an interval that would reach "
    "there is cut, and decides nothing for fewer than six tasks. A claim holds when the whole interval is in the "
    "claimed range, and fails when the whole of it is outside; it is undecided otherwise, and where tasks have no "
    f"number. ± MC is what sampling adds to its error. {FEW_TASKS}"
)


@dataclass(frozen=True)
class Judgement:
    """The claims that the data of some stores bear on."""

    claims: list[Claim]

    def to_dict(self) -> dict[str, Any]:
        """As plain values, for JSON."""
        return {"schema": 1, "level": LEVEL, "rule": RULE, "claims": [asdict(claim) for claim in self.claims]}

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        names = [claim.claim for claim in self.claims]
        kinds = dict.fromkeys((claim.claim, claim.measured) for claim in self.claims)
        noted: set[str] = set()
        for name, measured in sorted(kinds, key=lambda kind: names.index(kind[0])):
            same = [claim for claim in self.claims if (claim.claim, claim.measured) == (name, measured)]
            what = f"the number of {same[0].unit}" if same[0].unit else "the factor is"
            yield f"[bold]{name}[/bold]: {what} {measured}, claimed {limit_of(same[0])}"
            table = FittedTable(("", "", same[0].unit or "factor", "95 %", "± MC", "tasks"), labels=2)
            for claim in same:
                style = {"holds": "green", "fails": "red"}.get(claim.verdict, "yellow")
                table.add_row(Text(claim.verdict, style=style), claim.panel, *numbers_of(claim))
            yield table
            # A note on a panel is told once, but where it says why nothing was decided.
            told = [claim for claim in same if claim.note]
            notes = {f"[dim]{escape(claim.panel)}: {escape(claim.note)}[/dim]": claim.verdict for claim in told}
            yield from (note for note, verdict in notes.items() if note not in noted or verdict == "undecided")
            noted.update(notes)
        yield RULE


def judge(stores: Sequence[Path | str]) -> Judgement:
    """Judge every claim that the stores bear on; a folder of stores counts for all that are in it.

    Raises:
        InputError: where there is no store, a damaged one, or none that bears on a claim.
    """
    datasets = dict(_datasets(stores))
    shipped = [found for found in datasets.values() if not _stated(found)]
    arrays = [found for found in shipped if not measures_over(found).labelled]
    claims = [claim for name, dataset in datasets.items() for claim in _claims_of(name, dataset)]
    claims += [*_normalisation(arrays), *one_axis(arrays)]
    if not claims:
        raise InputError(
            "no claim can be judged: that takes a sweep along width or depth, of labels also along train, over several "
            "task_seed."
        )
    return Judgement(claims)


def numbers_of(claim: Claim) -> list[str]:
    """The effect, its interval, what sampling adds to its error, and the tasks, as text; dashes where unknown."""
    if claim.effect is None or claim.ci95 is None:
        return ["-", "-", "-", str(claim.tasks)]
    mc = claim.mc_error
    error = "-" if mc is None else decimals(mc, 2) if claim.unit else f"{decimals(100 * mc, 1)}%"
    low, high = claim.ci95
    tasks = f"{claim.tasks}{' *' if claim.tasks < ENOUGH_TASKS else ''}"
    return [rounded(claim.effect), f"{rounded(low)} to {rounded(high)}", error, tasks]


def limit_of(claim: Claim) -> str:
    """The claimed range in words."""
    if claim.within:
        return f"from {1 / claim.limit:.3g} to {claim.limit:.3g}"
    return f"{'above' if claim.above else 'below'} {claim.limit:.3g}"


def _datasets(stores: Sequence[Path | str]) -> Iterator[tuple[str, xr.Dataset]]:
    for store in map(Path, stores):
        files = [store / "sweep.nc"] if (store / "sweep.nc").is_file() else sorted(store.glob("*/sweep.nc"))
        if not files:
            raise InputError(f"{store} is not a store: it has no sweep.nc; give the folder of a sweep that has run.")
        for file in files:
            yield str(file.parent), load_cells(file)


def _claims_of(name: str, dataset: xr.Dataset) -> Iterator[Claim]:
    """The claims along the axis of one sweep, panel by panel."""
    title = str(dataset.attrs.get("title") or Path(name).name)
    if _stated(dataset):
        yield from stated_claims(dataset, title)
        return
    if measures_over(dataset).labelled:
        yield from network_claims(dataset, title)
        return
    axis = _axis(dataset)
    if axis is None or dataset.sizes.get("task_seed", 0) < 2:
        return
    for panel, part in _panels(dataset.sortby(axis), axis):
        where = ", ".join(filter(None, (title, panel)))
        for stated in _ALONG[axis]:
            note = _NOT_ODD if stated.over == "prior" and "relu" in panel else ""
            yield from decided(stated.model_copy(update={"note": note}), part, where)
        if axis == "width":
            yield from infinite_width(part, where, CLOSE)
        elif axis == "measurements":
            yield from measurements_needed(part, where, paper=_of_the_paper(dataset))
        # Few measurements determine no truth, so along them descent cannot generalise at every point.
        if axis != "measurements" and not np.isnan(part["gd_gen_loss"]).all():
            yield from _descent_generalises(part, axis, where)
        yield from equal_fit(part, axis, where)
    yield from small_thresholds(dataset, title)


def stated_claims(dataset: xr.Dataset, title: str) -> Iterator[Claim]:
    """The claims that a sweep states itself, decided on each of its panels; none where it states none."""
    for stated in _stated(dataset):
        yield from decided(stated, dataset, title)


def _stated(dataset: xr.Dataset) -> list[Stated]:
    """The claims that a sweep states itself."""
    return [Stated(**each) for each in _sweep_of(dataset).get("claims", ())]


def _sweep_of(dataset: xr.Dataset) -> dict[str, Any]:
    """What was asked; nothing in a dataset that does not say."""
    asked: dict[str, Any] = json.loads(dataset.attrs.get("sweep", "{}"))
    return asked


def _axis(dataset: xr.Dataset) -> str | None:
    """What the claims are about: of the axes that have any, the one that the sweep's question names."""
    known = [axis for axis in _ALONG if dataset.sizes.get(axis, 0) > 1]
    asked = main_axis(dataset)
    return asked if asked in known else next(iter(known), None)


def _of_the_paper(dataset: xr.Dataset) -> bool:
    """Whether the matrices are of the paper's size, of whose measurements some claims are about."""
    sweep = _sweep_of(dataset)
    given = [sweep.get("options", {}), *sweep.get("panels", {}).values()]
    given += [{axis: value} for axis, values in sweep.get("axes", {}).items() for value in values]
    sides = [each[side] for each in given for side in ("rows", "cols") if side in each]
    return not any("shape" in each for each in given) and all(side == PAPER_SIDE for side in sides)


def _panels(dataset: xr.Dataset, axis: str) -> Iterator[tuple[str, xr.Dataset]]:
    """Each seed is a panel of its own: its claims are about the same draws."""
    return cut(dataset, [name for name in axes_of(dataset) if name not in (axis, "task_seed")])


def _descent_generalises(part: xr.Dataset, axis: str, where: str) -> Iterator[Claim]:
    """Where it fits as Guess & Check does, and at its end, where it fits far better; old stores know the end alone."""
    at_eps = descent_variable(part)
    if at_eps != "gd_gen_loss":
        yield _worst(part, axis, where, at_eps, "gradient descent generalises", "of gradient descent where it passes ε")
    name, who = "gradient descent generalises at its end", "of gradient descent at its end"
    yield _worst(part, axis, where, "gd_gen_loss", name, who)


def _worst(part: xr.Dataset, axis: str, where: str, variable: str, name: str, who: str) -> Claim:
    """At every point of the axis: the claim is the one about its worst point."""
    measured = f"L_gen {who} over the zero matrix's, at its worst {axis}"
    level = LEVEL / part.sizes[axis]
    points = []
    for place in part[axis].values.tolist():
        point = part.sel({axis: place})
        ratio = Ratio(point[variable].values / point["zero_gen_loss"].values)
        claim = _no_less_than_zero(decide(name, where, ratio, GENERALISES, measured, plain=True, failing=level))
        lack = claim.note and f"at {axis} {place}: {claim.note}"
        points.append(replace(claim, note="; ".join(filter(None, (lack, fits(point))))))
    return max(points, key=_badness)


def _no_less_than_zero(claim: Claim) -> Claim:
    """The claim about a plain mean of losses: its interval begins at zero where it would reach below.

    It does where the law over tasks is far from normal, and then few tasks decide nothing.
    """
    if claim.ci95 is None or claim.ci95[0] >= 0:
        return claim
    cut = replace(claim, ci95=(0.0, claim.ci95[1]))
    if claim.tasks >= ENOUGH_TASKS:
        return cut
    note = "; ".join(filter(None, (claim.note, f"{count_word(claim.tasks)} tasks cannot decide")))
    return replace(cut, verdict="undecided", note=note)


def _badness(claim: Claim) -> tuple[int, int, float]:
    """What is worse: the verdict, then the tasks without a number, then the effect."""
    effect = -math.inf if claim.effect is None else claim.effect
    return ("holds", "undecided", "fails").index(claim.verdict), -claim.tasks, effect


def _normalisation(datasets: Iterable[xr.Dataset]) -> Iterator[Claim]:
    """What depth gains with normalisation over what it gains without, on the same tasks and panels."""
    for (panel, _), sorts in _alike(datasets).items():
        for pair in product(sorts[True], sorts[False]):
            normalised, raw = xr.align(*pair, join="inner")
            if min(normalised.sizes[axis] for axis in ("depth", "task_seed")) > 1:
                ratio = over(*(ratio_of(each.isel(depth=-1), each.isel(depth=0)) for each in (normalised, raw)))
                measured = "the factor by which depth changes E[L_gen] with normalisation, over that without"
                yield decide("normalisation matters", panel, ratio, 1 / MARGIN, measured)


def _alike(datasets: Iterable[xr.Dataset]) -> dict[tuple[str, str], dict[bool, list[xr.Dataset]]]:
    """Panels of sweeps along depth, normalised or not, by their name and the options that have to be the same."""
    found: dict[tuple[str, str], dict[bool, list[xr.Dataset]]] = {}
    for dataset in datasets:
        if not {"depth", "task_seed"} <= set(dataset.dims):
            continue
        sweep = _sweep_of(dataset)
        for panel, part in _panels(dataset.sortby("depth"), "depth"):
            options = sweep.get("options", {}) | sweep.get("panels", {}).get(panel, {})
            normalised = bool(options.get("normalize", True))
            same = {name: value for name, value in options.items() if name not in _FREE}
            sorts = found.setdefault((panel, json.dumps(same, sort_keys=True)), {True: [], False: []})
            sorts[normalised].append(part)
    return found


_FREE = {"normalize", "eps", "method"}
"""The options in which a sweep with normalisation may differ from one without: figures 2 and 11 have an ε each."""
