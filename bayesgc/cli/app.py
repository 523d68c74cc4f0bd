"""The ``bayesgc`` command: its commands and how each way of failing ends.

Exit codes: 0 converged; 2 wrong usage or input, provable infeasibility included; 3 ran but did not converge;
130 interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from bayesgc import __version__
from bayesgc.cli.infer import INTERRUPTED, infer
from bayesgc.cli.terminal import OutputError, kept, say, standard_streams
from bayesgc.options.declared import expected
from bayesgc.validate import InputError, one_of

WRONG_INPUT, NOT_CONVERGED, BROKEN_PIPE = 2, 3, 141

app = typer.Typer(
    name="bayesgc",
    help="Guess & Check as Bayesian conditioning: how well do weights that merely fit the data, drawn "
    "from the prior, generalise, and how well do those that gradient descent finds?",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(infer)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"bayesgc {__version__}")  # noqa: T201
        raise typer.Exit


@app.callback()
def _root(
    ctx: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        print(ctx.get_help())  # noqa: T201
        raise typer.Exit(WRONG_INPUT)


ForceOption = Annotated[bool, typer.Option("--force", help="Replace even files that bayesgc did not write.")]


@app.command()
def show(
    file: Annotated[Path, typer.Argument(help="A result saved by infer (.nc).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the JSON object that infer --json prints.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the result to this file (.png, .svg or .pdf).")] = None,
    force: ForceOption = False,
) -> None:
    """Print a saved result again."""
    from bayesgc.cli.show import show as print_saved

    print_saved(file, as_json=as_json, plot=plot, force=force)


@app.command()
def compare(
    files: Annotated[list[Path], typer.Argument(help="Results saved by infer (.nc); differences are from the first.")],
    delta: Annotated[
        str | None,
        typer.Option(help="For P(L_gen < delta): a loss, or a share of the zero matrix's.", show_default="10%"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Compare saved results: losses, rarity, where gradient descent stands, mechanisms, differences."""
    from bayesgc.cli.show import print_comparison

    print_comparison(files, delta=delta, as_json=as_json)


@app.command()
def diagnose(
    file: Annotated[Path, typer.Argument(help="A result saved by infer (.nc).")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check whether a saved result can be relied on; exits with 3 when something is wrong."""
    from bayesgc.cli.show import print_diagnosis

    raise typer.Exit(0 if print_diagnosis(file, as_json=as_json) else NOT_CONVERGED)


@app.command()
def report(
    source: Annotated[Path, typer.Argument(help="A result saved by infer (.nc), or the folder of a sweep.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The page (.html).", show_default="named after the source")
    ] = None,
    force: ForceOption = False,
) -> None:
    """Write one self-contained page: answer, tables, pictures to zoom and hover, diagnostics, how to run it again."""
    from bayesgc.analysis.tree.storage import check_source

    if source.is_dir():
        from bayesgc.analysis.tree.stores import check_store

        check_store(source)
    else:
        check_source(source)
    from bayesgc.analysis.report import write_report

    page = write_report(source, Path(f"{source.resolve().stem}.html") if out is None else out, force=force)
    with kept(f"the page is written to {page}"):
        print(f"Written to {page}")  # noqa: T201


def _a_sweep(ctx: typer.Context, file: Path) -> Path:
    """The file of a sweep, which is refused before an option that is missing."""
    if not ctx.resilient_parsing:  # as where a shell completes
        from bayesgc.experiments.sweep import Sweep

        Sweep.load(file)
    return file


def _a_figure(ctx: typer.Context, name: str) -> str:
    """A figure of the paper by its name, or all of them; likewise."""
    if not ctx.resilient_parsing:
        from bayesgc.experiments.figures import ALL, FIGURES

        one_of("figure", name, [*FIGURES, ALL])
    return name


def _a_study(ctx: typer.Context, name: str) -> str:
    """A study by its name or its file; likewise."""
    if not ctx.resilient_parsing:
        from bayesgc.experiments.studies import study_named

        study_named(name)
    return name


StoreOption = Annotated[Path, typer.Option("--out", help="The store: a folder, new or to be resumed.")]
MethodOption = Annotated[str | None, typer.Option(help="Condition every cell by this method instead.")]
SchedulerOption = Annotated[
    str | None, typer.Option(help="Run on this Dask scheduler, such as tcp://host:8786; local starts one here.")
]
WorkersOption = Annotated[
    int | None, typer.Option(help="Processes; with a scheduler's address: workers to wait for.", show_default="cores")
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check, list the cells, estimate the time; run nothing.")]
ZarrOption = Annotated[bool, typer.Option("--zarr", help="Write the dataset as Zarr too.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no table.")]


@app.command()
def sweep(
    file: Annotated[Path, typer.Argument(help="A sweep in TOML.", callback=_a_sweep)],
    out: StoreOption,
    method: MethodOption = None,
    scheduler: SchedulerOption = None,
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
    zarr: ZarrOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Run a grid of inferences into a store; the same command on a store resumes it."""
    from bayesgc.cli.sweep import SweepCommand

    raise typer.Exit(SweepCommand(out, method, scheduler, workers, dry_run, zarr, as_json, quiet, force).run_file(file))


@app.command()
def reproduce(
    figure: Annotated[str, typer.Argument(help="fig1 to fig11, or all.", callback=_a_figure)],
    out: StoreOption,
    quick: Annotated[bool, typer.Option("--quick", help="Few sizes and tasks.")] = False,
    method: MethodOption = None,
    scheduler: SchedulerOption = None,
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
    zarr: ZarrOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Run a figure of the paper into a store; the same command on a store resumes it."""
    from bayesgc.cli.sweep import SweepCommand

    command = SweepCommand(out, method, scheduler, workers, dry_run, zarr, as_json, quiet, force)
    raise typer.Exit(command.run_figure(figure, quick=quick))


@app.command(name="study")
def run_study(
    name: Annotated[
        str, typer.Argument(help="As in `bayesgc list`, or a study of your own in TOML.", callback=_a_study)
    ],
    out: StoreOption,
    quick: Annotated[bool, typer.Option("--quick", help="Few sizes and tasks.")] = False,
    method: MethodOption = None,
    scheduler: SchedulerOption = None,
    workers: WorkersOption = None,
    dry_run: DryRunOption = False,
    zarr: ZarrOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    force: ForceOption = False,
) -> None:
    """Run a study, of what the paper leaves open, of networks or your own; the same command on a store resumes it."""
    from bayesgc.cli.sweep import SweepCommand

    command = SweepCommand(out, method, scheduler, workers, dry_run, zarr, as_json, quiet, force)
    raise typer.Exit(command.run_study(name, quick=quick))


@app.command()
def claims(
    stores: Annotated[list[Path], typer.Argument(help="Stores of sweeps, or folders of stores.")],
    as_json: JsonOption = False,
) -> None:
    """Judge claims by the data of stores: holds, fails or undecided, with effect and error."""
    from bayesgc.cli.show import print_claims

    print_claims(stores, as_json=as_json)


@app.command(name="list")
def list_names(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List what options can name: activations, priors, scalings, methods, tasks, optimizers and devices."""
    from bayesgc.cli.listing import print_names

    print_names(as_json=as_json)


def run() -> None:
    """Run the command line and exit; every wrong input ends in one line on standard error."""
    with standard_streams():
        try:
            code = _code()
            sys.stdout.flush()
        except OutputError as error:
            code = _unwritten(error)
    sys.exit(code)


def _code() -> int:
    """The exit code of the command that was given."""
    try:
        return app(standalone_mode=False) or 0
    except typer.Exit as stop:
        return int(stop.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        return _fail("interrupted", INTERRUPTED)
    except TyperException as error:
        return _fail(_usage(error), WRONG_INPUT)
    except InputError as error:
        return _fail(str(error), WRONG_INPUT)
    except (MemoryError, RuntimeError, ValueError) as error:
        if not _too_large(error):
            raise
        return _fail("this machine has too little memory for that: ask for fewer or smaller matrices.", WRONG_INPUT)


def _unwritten(error: OutputError) -> int:
    """Say that standard output failed, unless the reader of a pipe, such as head, has what it wanted."""
    if not error.broken_pipe:
        return _fail(f"Cannot write to standard output: {error}{error.kept and f'; {error.kept}'}.", WRONG_INPUT)
    if error.kept:
        say(error.kept)
    return BROKEN_PIPE


def _usage(error: TyperException) -> str:
    """What is wrong with an option, with the value that was given, and where to read on."""
    context = getattr(error, "ctx", None)
    if context is None:
        return error.format_message()
    message, known = error.format_message().rstrip("."), getattr(context.command, "commands", None)
    if isinstance(error, typer.BadParameter) and (faults := getattr(error.__cause__, "errors", None)):
        fault, name = faults()[0], (error.param.opts[0] if error.param else "an option")
        message = f"{name} is {fault['input']!r}; it must be {expected(fault).partition(',')[0]}"
    elif known and message.startswith("No such command") and not message.endswith("?"):  # which names the nearest
        message += f"; choose one of {', '.join(known)}"
    return f"{message} (see {context.command_path} --help)."


def _too_large(error: Exception) -> bool:
    """Whether memory ran out: torch and NumPy raise errors of general kinds for that too."""
    words = ("allocate memory", "out of memory", "bad_alloc", "array is too big", "DefaultCPUAllocator")
    return isinstance(error, MemoryError) or any(word in str(error) for word in words)


def _fail(message: str, code: int) -> int:
    say(message)
    return code
