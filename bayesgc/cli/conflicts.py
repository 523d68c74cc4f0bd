"""Options of ``bayesgc infer`` that make no sense together: refused, so that none is ever silently ignored."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from bayesgc.validate import InputError

SYNTHETIC = ("task", "rows", "cols", "rank", "measurements", "task_seed")
TABLE = ("index", "standardize")
DESCENT = (
    "gd_optimizer",
    "gd_lr",
    "gd_momentum",
    "gd_steps",
    "gd_init",
    "gd_init_scale",
    "gd_tol",
    "restarts",
)


def refuse_conflicts(given: Collection[str], *, data: Path | None, gd: bool, gd_init: str) -> None:
    """Check the parameters that were ``given`` on the command line against what they would act on.

    Raises:
        InputError: naming the first option that could have no effect, and why.
    """
    if data is not None:
        _refuse(SYNTHETIC, given, f"describes a synthetic task; --data {data} brings its own")
    if data is None or data.suffix.lower() != ".csv":
        held = "there is no --data" if data is None else f"--data is {str(data)!r}"
        _refuse(TABLE, given, f"is for a .csv table; {held}")
    if not gd:
        _refuse(DESCENT, given, "is for gradient descent, which --no-gd turns off")
    if gd_init == "prior":
        _refuse(("gd_init_scale",), given, "is for a small start; --gd-init is 'prior'")


def _refuse(options: tuple[str, ...], given: Collection[str], reason: str) -> None:
    for name in options:
        if name in given:
            raise InputError(f"--{name.replace('_', '-')} {reason}; leave it out.")
