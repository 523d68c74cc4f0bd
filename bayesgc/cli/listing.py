"""``bayesgc list``: every name that an option can take, from the registries themselves."""

from __future__ import annotations

import inspect

from rich.table import Table

from bayesgc.cli.show import print_json
from bayesgc.cli.terminal import Terminal
from bayesgc.experiments.figures import FIGURES, figure
from bayesgc.experiments.studies import STUDIES
from bayesgc.inference import INITIALIZATIONS, METHODS, OPTIMIZERS, available_devices
from bayesgc.inference.protocols import PROTOCOLS
from bayesgc.inference.sgd import STARTS
from bayesgc.models import ACTIVATIONS, FAMILIES, NETWORKS, NORMALIZATION_SUMMARIES, SCALING_SUMMARIES, available
from bayesgc.models.priors import RegisteredPrior
from bayesgc.task import DATASETS, FITS, SYNTHETIC


def names() -> dict[str, dict[str, str]]:
    """What can be named, by option, each with a line that says what it is."""
    return {
        "task": {name: _first_line(make) for name, make in (SYNTHETIC | DATASETS).items()},
        "fit": {name: fit.summary for name, fit in FITS.items()},
        "method": {name: _first_line(method) for name, method in METHODS.items()},
        "family": {name: _first_line(family) for name, family in (FAMILIES | NETWORKS).items()},
        "activation": {name: each.summary for name, each in ACTIVATIONS.items()},
        "prior": {name: _prior(each) for name, each in available().items()},
        "scaling": dict(SCALING_SUMMARIES),
        "normalize-weights": dict(NORMALIZATION_SUMMARIES),
        "gd-optimizer": {name: each.summary for name, each in OPTIMIZERS.items()},
        "gd-init": STARTS | INITIALIZATIONS,
        "gd-protocol": {name: each.summary for name, each in PROTOCOLS.items()},
        "figure": {name: figure(name).title.partition(": ")[2] for name in FIGURES},
        "study": {name: about.question for name, about in STUDIES.items()},
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
        for i, (name, summary) in enumerate(entries.items()):
            table.add_row("" if i else f"--{option}", name, summary)
    Terminal().print(table)


def _first_line(thing: object) -> str:
    return (thing.__doc__ or "").strip().split("\n")[0]


def _prior(prior: RegisteredPrior | str) -> str:
    """What a prior is, with its options; for one that cannot be loaded, why."""
    if isinstance(prior, str):
        return f"not usable: {prior}"
    defaults = prior.options.items()
    options = [name if value is inspect.Parameter.empty else f"{name}={value}" for name, value in defaults]
    return f"{prior.summary} Options: {', '.join(options)}." if options else prior.summary
