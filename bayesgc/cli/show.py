"""The commands that read saved results and print: ``show``, ``compare``, ``diagnose``, ``claims``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

from bayesgc.cli.flags import in_flags
from bayesgc.cli.terminal import Terminal

PLOT_SUFFIXES = (".png", ".svg", ".pdf")


def show(
    file: Path,
    *,
    as_json: bool = False,
    plot: Path | None = None,
    force: bool = False,
    console: Console | None = None,
) -> None:
    """Print the result saved in ``file``, as text or as the JSON object that ``infer --json`` printed.

    With ``plot``, draw it to that file too, which with ``force`` may be one that is not ours.

    Raises:
        InputError: where the file is missing, damaged, or no result; where the plot cannot be written or must not be.
    """
    from bayesgc.analysis.tree.outputs import check_output
    from bayesgc.analysis.tree.storage import check_source, load

    check_source(file)
    from bayesgc.analysis.tree.summary import result_object

    if plot is not None:
        check_output("--plot", plot, PLOT_SUFFIXES, inputs=[file], force=force)
    tree = load(file)
    result = result_object(tree)
    if plot is not None:
        from bayesgc.analysis.plots import plot_result, save_figure

        save_figure(plot_result(tree), plot)
    if as_json:
        print_json(result)
        return
    from bayesgc.cli.render import print_result

    print_result(Terminal() if console is None else console, result)


def print_comparison(files: list[Path], *, delta: str | None, as_json: bool = False) -> None:
    """Print the saved results side by side."""
    from bayesgc.analysis.tree.storage import check_source

    for file in files:
        check_source(file)
    from bayesgc.analysis.compare.compare import compare

    comparison = compare(*files, delta=delta)
    _print(comparison, as_json=as_json)


def print_diagnosis(file: Path, *, as_json: bool = False) -> bool:
    """Print the checks of a saved result; whether nothing is wrong."""
    from bayesgc.analysis.tree.storage import check_source

    check_source(file)
    from bayesgc.analysis.diagnose import diagnose

    diagnosis = diagnose(file)
    _print(diagnosis, as_json=as_json)
    return diagnosis.healthy


def print_claims(stores: list[Path], *, as_json: bool) -> None:
    """Judge the claims of the paper by the data in stores."""
    from bayesgc.analysis.claims.claims import judge

    _print(judge(stores), as_json=as_json)


def _print(found: Any, *, as_json: bool) -> None:
    if as_json:
        print_json(found.to_dict())
    else:
        Terminal().print(found)


def print_json(result: dict[str, object]) -> None:
    """Write ``result`` to standard output as one strict JSON object and nothing else."""
    text = json.dumps(result, indent=2, allow_nan=False, ensure_ascii=True)
    print(in_flags(text), flush=True)  # noqa: T201
