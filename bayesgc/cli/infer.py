"""``bayesgc infer``: one model, one task, one posterior, with everything it is compared with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

INTERRUPTED = 130
MODEL, TASK, RUN, DESCENT, OUTPUT = "Model", "Task", "Conditioning", "Gradient descent", "Output"


def infer(
    ctx: typer.Context,
    depth: Annotated[int, typer.Option(help="Weight matrices.", rich_help_panel=MODEL)] = 2,
    width: Annotated[
        int | None,
        typer.Option(help="Hidden width.", show_default="max(5, min(rows, cols))", rich_help_panel=MODEL),
    ] = None,
    activation: Annotated[
        str, typer.Option(help="linear, tanh, leaky-relu or relu.", rich_help_panel=MODEL)
    ] = "linear",
    prior: Annotated[
        str, typer.Option(help="gaussian or uniform, with options as gaussian:mean=0.5.", rich_help_panel=MODEL)
    ] = "gaussian",
    scaling: Annotated[
        str, typer.Option(help="Scale of a layer: fan-out, fan-in or unit.", rich_help_panel=MODEL)
    ] = "fan-out",
    normalize: Annotated[
        bool | None,
        typer.Option(
            "--normalize/--no-normalize",
            help="Divide the end-to-end matrix by its norm.",
            show_default="yes; no for --data",
            rich_help_panel=MODEL,
        ),
    ] = None,
    task: Annotated[str, typer.Option(help="sensing or completion.", rich_help_panel=TASK)] = "sensing",
    rows: Annotated[int, typer.Option(help="Rows of the matrix.", rich_help_panel=TASK)] = 5,
    cols: Annotated[int, typer.Option(help="Columns of the matrix.", rich_help_panel=TASK)] = 5,
    rank: Annotated[int, typer.Option(help="Rank of the truth.", rich_help_panel=TASK)] = 1,
    measurements: Annotated[
        int | None,
        typer.Option(help="Number of measurements.", show_default="60 % of the entries", rich_help_panel=TASK),
    ] = None,
    task_seed: Annotated[int, typer.Option(help="Seed of the task.", rich_help_panel=TASK)] = 0,
    data: Annotated[
        Path | None,
        typer.Option(
            help="Your own task: .npz or .nc with A, y and maybe truth; or a .csv table with empty cells.",
            rich_help_panel=TASK,
        ),
    ] = None,
    index: Annotated[
        bool | None,
        typer.Option(
            "--index/--no-index",
            help="Whether the first column of a .csv holds labels.",
            show_default="when it is text",
            rich_help_panel=TASK,
        ),
    ] = None,
    standardize: Annotated[
        bool, typer.Option(help="Centre and scale the columns of a .csv.", rich_help_panel=TASK)
    ] = True,
    eps: Annotated[
        str,
        typer.Option(
            help="Threshold on the training loss; 5% is of the zero predictor's, 0 an exact fit.", rich_help_panel=RUN
        ),
    ] = "0.0035",
    method: Annotated[
        str, typer.Option(help="auto, splitting, importance, nuts or rejection.", rich_help_panel=RUN)
    ] = "auto",
    chains: Annotated[
        int | None,
        typer.Option(help="Independent islands or chains.", show_default="the method's", rich_help_panel=RUN),
    ] = None,
    draws: Annotated[
        int | None, typer.Option(help="Draws kept in each chain.", show_default="1000", rich_help_panel=RUN)
    ] = None,
    precision: Annotated[
        float | None,
        typer.Option(
            help="Relative standard error of E[L_gen] to reach.", show_default="the method's", rich_help_panel=RUN
        ),
    ] = None,
    max_seconds: Annotated[float, typer.Option(help="Wall time for conditioning.", rich_help_panel=RUN)] = 600.0,
    max_evaluations: Annotated[
        int | None, typer.Option(help="Training losses to evaluate at most.", rich_help_panel=RUN)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of every random stream but the task's.", rich_help_panel=RUN)] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:i or mps.", rich_help_panel=RUN)] = "auto",
    dtype: Annotated[str, typer.Option(help="float32 or float64.", rich_help_panel=RUN)] = "float32",
    gd: Annotated[
        bool, typer.Option("--gd/--no-gd", help="Run gradient descent beside.", rich_help_panel=DESCENT)
    ] = True,
    gd_optimizer: Annotated[
        str, typer.Option(help="group-rmsprop, gd, momentum or adam.", rich_help_panel=DESCENT)
    ] = "group-rmsprop",
    gd_lr: Annotated[float, typer.Option(help="Step size.", rich_help_panel=DESCENT)] = 1e-2,
    gd_momentum: Annotated[
        float | None,
        typer.Option(help="Momentum.", show_default="the optimizer's", rich_help_panel=DESCENT),
    ] = None,
    gd_steps: Annotated[
        int | None, typer.Option(help="Most steps.", show_default="the paper's", rich_help_panel=DESCENT)
    ] = None,
    gd_init: Annotated[str, typer.Option(help="small or prior.", rich_help_panel=DESCENT)] = "small",
    gd_init_scale: Annotated[
        float | None,
        typer.Option(help="Scale of a small start.", show_default="the paper's for the depth", rich_help_panel=DESCENT),
    ] = None,
    gd_tol: Annotated[
        float, typer.Option(help="Stop at this share of the zero predictor's loss.", rich_help_panel=DESCENT)
    ] = 1e-6,
    restarts: Annotated[int, typer.Option(help="Independent starts.", rich_help_panel=DESCENT)] = 32,
    map: Annotated[  # noqa: A002 - the name of the option
        bool | None,
        typer.Option(
            "--map/--no-map",
            help="Find the mode at an exact fit beside.",
            show_default="where it is quick",
            rich_help_panel=DESCENT,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Save the result here (.nc).", show_default="a new file in this folder", rich_help_panel=OUTPUT
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the result to this .png, .svg or .pdf.", rich_help_panel=OUTPUT)
    ] = None,
    weights: Annotated[bool, typer.Option("--weights", help="Keep the weights too.", rich_help_panel=OUTPUT)] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object and nothing else.", rich_help_panel=OUTPUT)
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress, no table.", rich_help_panel=OUTPUT)
    ] = False,
) -> None:
    """Draw weights from the prior given that they fit, and compare them with gradient descent.

    Without options: the paper's depth experiment (5×5, rank 1, 15 measurements, ε = 0.0035) at depth 2.
    """
    try:
        from bayesgc.cli.session import Session

        code = Session(**ctx.params, given=_given(ctx)).run()
    except KeyboardInterrupt:
        typer.echo("bayesgc: interrupted at once; nothing more was saved.", err=True)
        code = INTERRUPTED
    raise typer.Exit(code)


def _given(ctx: typer.Context) -> frozenset[str]:
    """The parameters that the command line itself names, defaults or not."""
    sources = {name: ctx.get_parameter_source(name) for name in ctx.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")
