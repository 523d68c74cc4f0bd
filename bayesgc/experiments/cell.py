"""One cell of a sweep: its place, its options, and the keys under which its parts are stored.

A key is made from what decides the bits and from nothing else: conditioning does not know of gradient descent, whose
runs are therefore shared by cells that differ in ε, in normalisation or in the prior, and the other way about.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bayesgc.experiments.sources import code_key, content
from bayesgc.inference import METHODS, Method
from bayesgc.inference.version import ALGORITHM
from bayesgc.models.priors.prior import listed_priors
from bayesgc.options import Options
from bayesgc.plugins import is_foreign
from bayesgc.task import TASKS, linear_view

TASKS_TOGETHER = 8
"""Task seeds whose gradient descents run in one batch: those from a multiple of this number on. The batch decides how
sums are rounded, so it is the same whichever of its tasks a sweep asks for."""

_DESCENT = frozenset(name for name in Options.model_fields if name.startswith("gd_")) | {"restarts"}
_NEITHER = frozenset({"gd", "device"})
_CONDITIONING = frozenset(
    "normalize eps method chains draws precision max_seconds max_evaluations map".split()  # noqa: SIM905
)
_START_AT_PRIOR = frozenset({"prior", "scaling"})
_OF_THE_BUDGET = ("chains", "draws", "precision", "max_seconds", "max_evaluations", "map")
_OPEN_FOR_LABELS = frozenset({"activation", "scaling", "standardize", "eps"})
"""Options that labelled examples leave open in another way than by the default that is declared: given, they count."""
_NOT_OF_THE_DRAWS = _CONDITIONING | {"task", "rank", "measurements", "task_seed"}


@dataclass(frozen=True)
class Cell:
    """One inference of a sweep; ``place`` is its value on each axis."""

    place: dict[str, Any]
    options: Options

    @cached_property
    def key(self) -> str:
        """Under which the conditioning is stored."""
        own = {"gd": self._training} if self.labelled else {}
        return _digest({"algorithm": ALGORITHM, "cell": self._conditioning, **own})

    @cached_property
    def labelled(self) -> bool:
        """Whether it is about labelled examples: then gradient descent runs with the conditioning.

        A task of the user's own is made to see what it is.
        """
        options = self.options
        if options.labelled or options.data is not None or not is_foreign(TASKS.find(options.task)[0]):
            return options.labelled
        return linear_view(options.make_task()) is None

    @property
    def _training(self) -> dict[str, Any]:
        """What gradient descent with the conditioning depends on."""
        return {name: value for name, value in self._chosen(without=()).items() if name in _DESCENT | {"gd"}}

    @cached_property
    def descent_key(self) -> str | None:
        """Under which gradient descent is stored; None where it is turned off."""
        if not self.options.gd or self.labelled:
            return None
        chosen = self._chosen(without=_CONDITIONING | _NEITHER | {"task_seed"} | self._unused_in_descent)
        return _digest({"algorithm": ALGORITHM, "gd": chosen, "tasks": self.task_seeds})

    @property
    def task_seeds(self) -> list[int]:
        """The seeds of the tasks whose gradient descents run together with this cell's."""
        if self.options.data is not None:
            return [self.options.task_seed]
        first = self.options.task_seed // TASKS_TOGETHER * TASKS_TOGETHER
        return list(range(first, first + TASKS_TOGETHER))

    @property
    def seed(self) -> int:
        """The seed of the cell's random streams, from the sweep's own and from what the cell is.

        Cells are independent of each other, but for rejection: there it comes from the law of the weights alone, so
        that one set of draws serves every task, threshold and normalisation.
        """
        whole = self._conditioning
        if self._method.shared_draws:
            whole = {name: value for name, value in whole.items() if name not in _NOT_OF_THE_DRAWS}
        return int(_digest(whole)[:8], 16)

    @property
    def draws_key(self) -> str | None:
        """What cells have in common that one set of draws can serve; None where each has draws of its own."""
        if not self._method.shared_draws or self.options.map or self.labelled:
            return None
        common = {name: self._conditioning.get(name) for name in _OF_THE_BUDGET}
        return _digest({"seed": self.seed, "device": self.options.device, **common})

    @cached_property
    def _method(self) -> type[Method]:
        return METHODS.find(self.options.method)[0]

    @cached_property
    def _conditioning(self) -> dict[str, Any]:
        chosen = self._chosen(without=_DESCENT | _NEITHER | {"max_seconds"})
        # Any clock counts, that of a single inference too: a sweep has none.
        clock = self.options.max_seconds
        return chosen if clock is None else chosen | {"max_seconds": clock}

    @property
    def _unused_in_descent(self) -> frozenset[str]:
        return frozenset() if self.options.gd_init == "prior" else _START_AT_PRIOR

    def _chosen(self, *, without: Collection[str]) -> dict[str, Any]:
        """The options that differ from their defaults, and those that labels leave open in another way, where given."""
        chosen = self.options.model_dump(mode="json", exclude_defaults=True, exclude=set(without))
        if self.labelled:
            asked = (self.options.given & (_OPEN_FOR_LABELS | _DESCENT)) - set(without)
            chosen |= self.options.model_dump(mode="json", include=set(asked))
        return _by_content(chosen)


def _by_content(chosen: dict[str, Any]) -> dict[str, Any]:
    """Options with files, of data or of code, by what is in them, and code by what it imports of the user's own too."""
    if "data" in chosen:
        chosen["data"] = content(chosen["data"])
    if "model" in chosen:
        chosen["model"] = code_key(chosen["model"])
    if "method" in chosen:
        chosen["method"] = code_key(chosen["method"], METHODS)
    if "task" in chosen:
        chosen["task"] = code_key(chosen["task"], TASKS)
    if "prior" in chosen:
        chosen["prior"] = ",".join("..." if each is ... else code_key(each) for each in listed_priors(chosen["prior"]))
    return chosen


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:24]
