"""``bayesgc list``: every name that an option can take, from the registries themselves."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from rich.table import Table

from bayesgc.cli.show import print_json
from bayesgc.cli.terminal import Terminal
from bayesgc.experiments.figures import FIGURES, figure
from bayesgc.experiments.studies import STUDIES, shipped
from bayesgc.inference import INITIALIZATIONS, METHODS, OPTIMIZERS, available_devices
from bayesgc.inference.descent.protocols import PROTOCOLS
from bayesgc.inference.descent.sgd import STARTS
from bayesgc.inference.methods import method_options
from bayesgc.models import ACTIVATIONS, FAMILIES, NETWORKS, NORMALIZATION_SUMMARIES, SCALING_SUMMARIES, available
from bayesgc.options import Options
from bayesgc.plugins import summary
from bayesgc.task import DATASETS, FITS, TASKS, task_options


def names() -> dict[str, dict[str, str]]:
    """What can be named, by option, each with a line that says what it is."""
    return {
        "task": {name: _plugin(make, _own) for name, make in TASKS.available().items()}
        | {name: summary(make) for name, make in DATASETS.items()},
        "fit": {name: fit.summary for name, fit in FITS.items()},
        "method": {name: _plugin(each, method_options) for name, each in METHODS.available().items()},
        "family": {name: summary(family) for name, family in (FAMILIES | NETWORKS).items()},
        "activation": {name: each.summary for name, each in ACTIVATIONS.items()},
        "prior": {name: _plugin(each, attrgetter("options")) for name, each in available().items()},
        "scaling": dict(SCALING_SUMMARIES),
        "normalize-weights": dict(NORMALIZATION_SUMMARIES),
        "gd-optimizer": {name: each.summary for name, each in OPTIMIZERS.items()},
        "gd-init": STARTS | INITIALIZATIONS,
        "gd-protocol": {name: each.summary for name, each in PROTOCOLS.items()},
        "figure": {name: figure(name).title.partition(": ")[2] for name in FIGURES},
        "study": {name: shipped(name).question for name in STUDIES},
        "device": dict.fromkeys(available_devices(), "on this machine"),
    }


def print_names(*, as_json: bool = False) -> None:
    """Print them as a table, or as one JSON object."""
    if as_json:
        print_json(dict(names()))
        return
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("option", style="dim", overflow="fold")
    table.add_column("name", style="bold", overflow="fold")
    table.add_column("what it is", overflow="fold")
    for option, entries in names().items():
        for i, (name, said) in enumerate(entries.items()):
            table.add_row("" if i else f"--{option}", name, said)
    Terminal().print(table)


def _own(make: Any) -> dict[str, Any]:
    """The options of a task that are no flags."""
    flags = {*Options.model_fields, "seed"}
    return {name: default for name, default in task_options(make).items() if name not in flags}


def _plugin(thing: Any, options: Callable[[Any], dict[str, Any]]) -> str:
    """What something is, with its options; for what cannot be loaded, why."""
    if isinstance(thing, str):
        return f"not usable: {thing}"
    said: str = getattr(thing, "summary", None) or summary(thing)
    shown = [name if value is inspect.Parameter.empty else f"{name}={value}" for name, value in options(thing).items()]
    return f"{said} Options: {', '.join(shown)}." if shown else said
