"""The studies that come with the package: open questions as sweeps over several tasks, each a file of its own."""

from __future__ import annotations

import functools
from importlib.resources import as_file, files
from pathlib import Path

from bayesgc.experiments.study import Study
from bayesgc.validate import one_of

STUDIES = (
    "relu",
    "ranks",
    "raw-priors",
    "depth-over-width",
    "equal-fit",
    "thresholds",
    "measurements",
    "tensor-width",
    "tensor-depth",
    "network-width",
    "network-depth",
    "network-examples",
    "loss-bins",
    "depth-conflict",
    "certificate",
)
"""Their names, in the order in which they are listed: of arrays, and from ``network-width`` on of networks."""


@functools.cache
def shipped(name: str) -> Study:
    """One of them, from its file.

    Raises:
        InputError: for a study that there is not.
    """
    with as_file(files("bayesgc.experiments") / "shipped_studies" / f"{one_of('study', name, STUDIES)}.toml") as file:
        return Study.load(file)


def is_study_file(name: str) -> bool:
    """Whether this names a file rather than a study that is shipped."""
    return name not in STUDIES and (Path(name).suffix == ".toml" or Path(name).is_file())


def study_named(name: str) -> Study:
    """A study that is shipped, by its name, or one of the user's own, by its file.

    Raises:
        InputError: for a study that there is not, or a file that cannot be read or does not fit.
    """
    return Study.load(name) if is_study_file(name) else shipped(name)
