"""A result as text for the terminal: what ran, a table of laws side by side, and what it means.

Made from the result object alone, so that ``infer`` and ``show`` print the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from bayesgc.analysis.numerals import one_in, quartiles, rounded, with_error

Json = dict[str, Any]

BASELINES = {
    "zero": "zero",
    "least_squares": "least squares",
    "nuclear_norm": "nuclear norm",
    "chance": "chance",
}
CELLS_SHOWN = 10
EXACT = 1e-20
STATISTICS = ("mean", "sd", "q05", "q50", "q95")


def print_result(console: Console, result: Json, *, saved: str | None = None) -> None:
    """Print ``result``, and where it was ``saved``, to ``console``."""
    console.print(rendered(result, saved=saved))


def rendered(result: Json, *, saved: str | None = None) -> RenderableType:
    """The whole report of one result."""
    parts: list[RenderableType] = [_heading(result), Text(), _laws(result), _legend(result)]
    if result["unobserved"]:
        parts += [Text(), _cells(result["unobserved"])]
    parts += [Text(), *_volume(result), Text(), Text(result["verdict"], style="bold")]
    if result["outcome"] != "converged":
        parts.append(Text(result["message"], style="yellow"))
    if saved is not None:
        parts.append(Text(f"Saved in {saved}", style="dim"))
    return Group(*parts)


def _heading(result: Json) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim")
    grid.add_column()
    for name, line in (("task", _task(result["task"])), ("model", _model(result["model"])), ("run", _run(result))):
        grid.add_row(name, escape(line))
    return grid


def _task(task: Json) -> str:
    said = {"kind", "shape", "measurements", "held_out", "truth_known", "seed"}
    parts = [f"{task['kind']} {'×'.join(str(side) for side in task['shape'])}"]
    parts += [f"{name.replace('_', ' ')} {value}" for name, value in task.items() if name not in said]
    parts += [f"{task['measurements']} measurements", f"{task['held_out']} held out"]
    parts += [f"task seed {task['seed']}"] if "seed" in task else []
    return ", ".join(parts + ([] if task["truth_known"] else ["truth unknown"]))


def _model(model: Json) -> str:
    parts = []
    for name, value in model.items():
        label = name.replace("_", " ")
        if isinstance(value, bool):
            parts.append(f"{label}d" if value and label.endswith("e") else label if value else f"no {label}")
        elif value is not None:
            shown = ", ".join(str(item) for item in value) if isinstance(value, list) else value
            parts.append(str(shown) if name in {"family", "activation", "name", "scaling"} else f"{label} {shown}")
    return ", ".join(parts)


def _run(result: Json) -> str:
    seconds = result["seconds"]["total"]
    took = "" if seconds is None else f" in {seconds:.1f} s"
    return f"{result['method']}, ε = {result['eps']:g}, seed {result['seed']}: {result['outcome']}{took}"


def _laws(result: Json) -> Table:
    """One row a law or reference point; the columns of L_gen only where it is known."""
    judged = result["prior"]["gen_loss"] is not None
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False, show_edge=False)
    table.add_column("")
    for heading in ("L_gen", "× zero", "L_train", "eff. rank") if judged else ("L_train", "eff. rank"):
        table.add_column(heading, justify="right", no_wrap=True)

    def add(name: str, cells: tuple[str, ...], style: str = "") -> None:
        table.add_row(name, *(cells if judged else cells[2:]), style=style)

    add("prior", _law_cells(result["prior"]))
    add("G&C posterior", _law_cells(result["posterior"]), "bold")
    gd = result["gd"]
    if gd is not None:
        add(f"GD\n{gd['converged']}/{gd['restarts']} fitted", _descent_cells(gd))
    mode = result["map"]
    if mode is not None:
        add(f"MAP, best\n{mode['converged']}/{mode['restarts']} fitted", _mode_cells(mode))
    table.add_section()
    zero = (result["baselines"]["zero"] or {}).get("gen_loss")
    for key, name in BASELINES.items():
        if result["baselines"][key] is not None:
            add(name, _baseline_cells(result["baselines"][key], zero), "dim")
    return table


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
    exact = train_loss is not None and train_loss < EXACT
    return (rounded(gen_loss), rounded(relative, 2), "0" if exact else rounded(train_loss), "")


def _legend(result: Json) -> Text:
    parts = ["± standard error"]
    restarted = result["gd"] is not None or result["map"] is not None
    parts += ["[quartiles] over fitted restarts"] if restarted else []
    parts += ["× zero: relative to zero"] if result["prior"]["gen_loss"] is not None else []
    return Text("; ".join(parts), style="dim")


def _volume(result: Json) -> Iterator[Text]:
    """How rare a fit is."""
    volume, evidence = result["log_volume"], result["log_evidence"]
    if evidence is not None:
        yield Text(f"log evidence = {with_error(evidence['estimate'], evidence['mcse'])}")
    if volume is None:
        return
    low, high = volume["ci95"]
    if volume["estimate"] is not None:
        estimate = with_error(volume["estimate"], volume["mcse"])
        interval = "" if low is None or high is None else f", 95 % [{low:.2f}, {high:.2f}]"
        yield Text(f"log P(fit) = {estimate}{interval}: 1 prior draw in {one_in(volume['estimate'])} fits")
    elif high is not None:
        yield Text(f"log P(fit) < {high:.2f} (95 %): fewer than 1 prior draw in {one_in(high)} fits")


def _cells(cells: list[Json]) -> Group:
    """The first missing cells with their 90 % intervals."""
    names = [key for key in cells[0] if key not in STATISTICS]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), collapse_padding=True, pad_edge=False, show_edge=False)
    for name in names:
        table.add_column(name)
    for heading in ("mean", "5 %", "95 %"):
        table.add_column(heading, justify="right", no_wrap=True)
    for cell in cells[:CELLS_SHOWN]:
        table.add_row(
            *(escape(str(cell[name])) for name in names), *(rounded(cell[q], 4) for q in ("mean", "q05", "q95"))
        )
    more = len(cells) - CELLS_SHOWN
    parts: list[RenderableType] = [Text("Missing cells, in the table's units", style="dim"), table]
    if more > 0:
        parts.append(Padding(Text(f"… and {more} more (--json lists them all)", style="dim"), (0, 0)))
    return Group(*parts)
