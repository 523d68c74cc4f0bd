"""``bayesgc show FILE``: print a saved result again."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console


def show(file: Path, *, as_json: bool = False, plot: Path | None = None, console: Console | None = None) -> None:
    """Print the result saved in ``file``, as text or as the JSON object that ``infer --json`` printed.

    With ``plot``, draw it to that file too.

    Raises:
        InputError: where the file is missing, damaged, or no result; where the plot cannot be written.
    """
    from bayesgc.analysis.storage import load
    from bayesgc.analysis.summary import result_object

    tree = load(file)
    result = result_object(tree)
    if plot is not None:
        from bayesgc.analysis.plots import plot_result, save_figure

        save_figure(plot_result(tree), plot)
    if as_json:
        print_json(result)
        return
    from bayesgc.cli.render import print_result

    print_result(Console() if console is None else console, result)


def print_json(result: dict[str, object]) -> None:
    """Write ``result`` to standard output as one strict JSON object and nothing else."""
    print(json.dumps(result, indent=2, allow_nan=False, ensure_ascii=True))  # noqa: T201
