"""The parameters of a command from the declared options, so that their names, defaults and help stand in one place."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args

import typer
from pydantic.fields import FieldInfo

from bayesgc.options import About, Options

Command = TypeVar("Command", bound=Callable[..., None])


def takes_options(command: Command) -> Command:
    """Give a command every option of `Options`, in place of its parameter ``**options``."""
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
    first = [p for p in own if p.annotation is typer.Context]
    declared = [_parameter(name, field) for name, field in Options.model_fields.items()]
    parameters = [*first, *declared, *(p for p in own if p not in first)]
    command.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[p.replace(kind=p.KEYWORD_ONLY) for p in parameters]
    )
    return command


def options_given(ctx: typer.Context) -> dict[str, Any]:
    """The options that the command line itself names, with the default's value or not."""
    sources = {name: ctx.get_parameter_source(name) for name in Options.model_fields if name in ctx.params}
    return {name: ctx.params[name] for name, of in sources.items() if of is not None and of.name == "COMMANDLINE"}


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    about = next(each for each in field.metadata if isinstance(each, About))
    flag = name.replace("_", "-")
    boolean = bool in (field.annotation, *get_args(field.annotation))
    option = typer.Option(
        f"--{flag}/--no-{flag}" if boolean else f"--{flag}",
        help=about.help,
        rich_help_panel=about.panel,
        show_default=about.shown or True,
    )
    default = field.default if about.typed is None else about.typed(field.default)
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=Annotated[about.typed or field.annotation, option])
