"""``bayesgc infer``: one model, one task, one posterior, with everything it is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bayesgc.cli.parameters import options_given, takes_options
from bayesgc.cli.terminal import say

INTERRUPTED = 130
OUTPUT = "Output"


@takes_options
def infer(
    ctx: typer.Context,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Save the result here (.nc).", show_default="a new file in this folder", rich_help_panel=OUTPUT
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the result to this .png, .svg or .pdf.", rich_help_panel=OUTPUT)
    ] = None,
    completed: Annotated[
        Path | None,
        typer.Option(help="Write the table filled in, with 90 % intervals, to a .csv or .tsv.", rich_help_panel=OUTPUT),
    ] = None,
    hide: Annotated[
        str | None,
        typer.Option(
            help="Share of a table's observed cells to hide from a second run, in which Guess & Check is "
            "compared with column means, nearest neighbours and least squares; 0 for none.",
            show_default="15% for a table",
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    weights: Annotated[bool, typer.Option("--weights", help="Save the weights too.", rich_help_panel=OUTPUT)] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=OUTPUT)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, no table.", rich_help_panel=OUTPUT)
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace even files that bayesgc did not write.", rich_help_panel=OUTPUT),
    ] = False,
    **options: Any,
) -> None:
    """Draw weights from the prior given that they fit, and compare them with gradient descent.

    Without options: the paper's depth experiment (5×5, rank 1, 15 measurements, ε = 0.0035) at depth 2.
    """
    try:
        from bayesgc.options import Options
        from bayesgc.options.names import check_names
        from bayesgc.task.asked import share_to_hide

        given = options_given(ctx)
        check_names(("", name, value) for name, value in given.items())
        chosen = Options.checked(given)
        chosen.check_columns()
        if hide is not None:
            share_to_hide(hide)
        from bayesgc.cli.destinations import check_destinations

        files = {"out": out, "plot": plot, "completed": completed}
        check_destinations(chosen, **files, force=force)
        # It imports torch, for which no wrong name or file has to wait.
        from bayesgc.cli.session import Session

        session = Session(chosen, **files, hide=hide, weights=weights, as_json=as_json, quiet=quiet, force=force)
        code = session.run()
    except KeyboardInterrupt:
        say("interrupted at once; nothing more was saved.")
        code = INTERRUPTED
    raise typer.Exit(code)
