"""Which options go together: those that contradict each other are refused, so that none is ever silently ignored."""

from __future__ import annotations

import math

from bayesgc.options.declared import Declared
from bayesgc.options.names import is_set, shipped
from bayesgc.options.texts import infinite_layers_in, sides_in, whole_in, widths_in
from bayesgc.task.asked import check_threshold
from bayesgc.validate import InputError, integer_in, one_of, positive_integer, real_in

_OF_SYNTHETIC_TASKS = ("task", "shape", "rank", "measurements", "features", "teacher_width")
OF_SIDES = ("rows", "cols")
"""The size of a synthetic matrix; of a long table, the columns that name a value's row and column."""
_OF_ARRAYS = ("rows", "cols", "shape", "rank", "measurements", "gd_steps", "gd_init_scale")
OF_CHOICES = ("train", "test", "classes", "balanced")
_OF_LABELS = (
    "fit",
    "eps_low",
    "right",
    "target",
    *OF_CHOICES,
    "features",
    "teacher_width",
    "bias",
    "normalize_weights",
    "gd_batch",
    "gd_epochs",
    "gd_protocol",
)
_OF_TEACHERS = ("features", "teacher_width")
_OF_FAMILIES = ("family", "depth", "width", "activation", "bias", "normalize")
_COUNTS = ("depth", "chains", "draws", "restarts")
_FLAGGED_COUNTS = ("max_evaluations", "features", "gd_steps", "gd_epochs", "gd_batch")
_MOST = {"precision": 1.0, "gd_momentum": 0.9999}
_ABOVE_ZERO = ("precision", "max_seconds", "gd_lr", "gd_init_scale")
_FROM_ZERO = ("gd_momentum", "gd_tol")
_OF_TABLES = ("index", "header", "columns", "drop", "missing", "separator", "decimal", "values")
_OF_DESCENT = (
    "gd_optimizer",
    "gd_lr",
    "gd_momentum",
    "gd_steps",
    "gd_init",
    "gd_init_scale",
    "gd_tol",
    "gd_batch",
    "gd_epochs",
    "gd_protocol",
    "restarts",
)


class Consistent(Declared):
    """Options that are checked against each other."""

    def check(self) -> None:
        """Refuse options that contradict each other, so that none is ever silently ignored.

        Raises:
            InputError: naming the first option that could have no effect, and why.
        """
        if self.data is not None:
            synthetic = _OF_SYNTHETIC_TASKS if self._is_table else (*_OF_SYNTHETIC_TASKS, *OF_SIDES)
            self._refuse(synthetic, f"describes a synthetic task; --data {self.data} brings its own")
            if self._is_table and self.target is None:
                self._refuse(_OF_LABELS, "is for labelled examples; name the column of labels with --target")
                self._refuse(("task_seed",), f"is the seed of a synthetic task; --data {self.data} brings its own")
        else:
            self._check_synthetic()
        if self.shape is not None:
            self._refuse(("rows", "cols"), f"is for a matrix; --shape is {self.shape!r}")
        if self.model is not None:
            self._refuse(_OF_FAMILIES, f"describes a family; --model {self.model} is a model of its own")
        if not self._is_table:
            held = "there is no --data" if self.data is None else f"--data is {str(self.data)!r}"
            self._refuse(_OF_TABLES, f"is for a table, as .csv or .xlsx; {held}")
        if not self.gd:
            self._refuse(_OF_DESCENT, "is for gradient descent, which --no-gd turns off")
        if self.gd_init == "prior":
            self._refuse(("gd_init_scale",), "is for a small start; --gd-init is 'prior'")
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Refuse numbers that are out of range whatever the task and the model."""
        integer_in("--task-seed", self.task_seed, 0)
        integer_in("seed", self.seed, 0)
        for name in (*_COUNTS, *_FLAGGED_COUNTS):
            if (count := getattr(self, name)) is not None:
                positive_integer(name if name in _COUNTS else _flag(name), count)
        for name in (*_ABOVE_ZERO, *_FROM_ZERO):
            if (number := getattr(self, name)) is not None:
                real_in(_flag(name), number, 0, _MOST.get(name, math.inf), open_low=name in _ABOVE_ZERO)
        if self.shape is not None:
            sides_in(self.shape)
        if self.data is not None or is_set(self.task) or self.task in shipped()["task"]:  # others have their own
            check_threshold(self.eps)
        if self.width is not None and self.family != "lenet" and infinite_layers_in(self.width) is None:
            widths_in(self.width)

    def _check_synthetic(self) -> None:
        """Refuse options that the named task does not have."""
        self._refuse(("target",), "is a column of a table; there is no --data")
        for name in OF_SIDES:
            whole_in(f"--{name}", getattr(self, name))
        if not is_set(self.task):
            if self.task in shipped()["task"]:
                where = "name a set, as --task digits, or your own with --data, or leave it out"
                self._refuse(
                    OF_CHOICES, f"chooses labelled examples, and --task is {self.task!r} without --data", where
                )
                self._check_kind(labelled=False, named=f"--task is {self.task!r}")
            self._refuse(("standardize",), "is for tables and labelled examples; there is no --data")
            return
        self._check_kind(labelled=True, named=f"--task is {self.task!r}")
        if self.given & {*_OF_TEACHERS}:
            self._check_teacher()

    def _check_teacher(self) -> None:
        """Refuse options of a teacher for sets that have none."""
        from bayesgc.task import DATASETS

        for name in _OF_TEACHERS:
            if not {name, "network" if name == "teacher_width" else name} & DATASETS[self.task].options:
                self._refuse((name,), f"is for a teacher; --task is {self.task!r}")

    def _check_kind(self, *, labelled: bool, named: str) -> None:
        """Refuse options that are for another kind of task than ``named``."""
        families, networks = shipped()["family"], shipped()["network"]
        if not labelled:
            self._refuse(_OF_LABELS, f"is for labelled examples; {named}")
            if self.family in networks:
                raise InputError(f"--family {self.family} is for labelled examples; {named}.")
            return
        self._refuse(_OF_ARRAYS, f"is for an array; {named}, labelled examples")
        self._refuse(("depth",), "is for a factorisation; an mlp has a --width for each hidden layer, as 20,10,5")
        if self.normalize:
            self._refuse(("normalize",), "is for a factorisation, not an mlp")
        if self.family not in (None, *networks):
            one_of("family", self.family, [*families, *networks])
            known = " or ".join(networks)
            raise InputError(f"--family {self.family} is for an array; {named}, labelled examples: {known}.")

    def _refuse(self, options: tuple[str, ...], reason: str, way: str = "leave it out") -> None:
        for name in options:
            if name in self.given:
                raise InputError(f"{_flag(name)} {reason}; {way}.")

    def _check_start(self) -> None:
        """Refuse small initial weights of a program, which has no weights to make small."""
        names = ("gd_init", "gd_init_scale") if self.gd_init == "small" else ("gd_init_scale",)
        self._refuse(names, f"is for a factorisation; --model {self.model} starts at draws of its prior")

    @property
    def _is_table(self) -> bool:
        return self.data is not None and self.data.suffix.lower() in shipped()["table"]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
