"""The flat options of one inference: their names, types, defaults and help.

The command line and sweeps read them from here, so an option that is added here is there in both. An option is given
or left open; what is open takes the default, which may depend on the task.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bayesgc.validate import InputError, nearest

MODEL, TASK, RUN, DESCENT = "Model", "Task", "Conditioning", "Gradient descent"


@dataclass(frozen=True)
class About:
    """What the help says of an option.

    ``shown`` is the default in words where it is left open; ``typed`` the type on the command line where that differs.
    """

    help: str
    panel: str
    shown: str | None = None
    typed: type | None = None


class Declared(BaseModel):
    """The options of ``bayesgc infer``, by their names in Python; on the command line they have dashes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: Annotated[
        str | None,
        About("A Pyro program or torch.nn.Module of your own, file.py:name or package.module:name.", MODEL),
    ] = None
    family: Annotated[
        str | None,
        About(
            "matrix, cp or tensor-train for arrays; mlp or lenet for labelled examples.",
            MODEL,
            "matrix; cp for tensors; mlp for labels",
        ),
    ] = None
    depth: Annotated[int, About("Number of weight matrices.", MODEL)] = 2
    width: Annotated[
        int | str | None,
        About(
            "Hidden width; of cp the number of outer products; of an mlp that of each hidden layer, as 20,10,5, or "
            "inf,inf for infinitely wide ones; of a lenet the share of the full one.",
            MODEL,
            "for a matrix its shorter side, at least 5; for a table the root of that, at least 2; mlp 20,10,5; lenet "
            "0.5",
            typed=str,
        ),
    ] = None
    activation: Annotated[str, About("linear, tanh, leaky-relu or relu.", MODEL, "linear; relu for labels")] = "linear"
    bias: Annotated[bool, About("Give each layer of a network a bias.", MODEL)] = False
    prior: Annotated[
        str,
        About(
            "A name as in `bayesgc list`, with options as student-t:df=3; or file.py:function; or a list, one for each "
            "layer; or by the names of a module's weights, as 'conv*=uniform;*=gaussian'.",
            MODEL,
        ),
    ] = "gaussian"
    scaling: Annotated[
        str, About("Scale of a layer: fan-out, fan-in, kaiming or unit.", MODEL, "fan-out; fan-in for labels")
    ] = "fan-out"
    normalize: Annotated[
        bool | None, About("Divide the end-to-end matrix by its norm.", MODEL, "yes; no for --data")
    ] = None

    normalize_weights: Annotated[
        str | None, About("Divide a network's outputs by its weights: frobenius or lipschitz.", MODEL, "no")
    ] = None

    task: Annotated[
        str,
        About(
            "sensing or completion; labelled examples: digits, mnist, teacher and more, see `bayesgc list`; or "
            "file.py:function, a task of your own.",
            TASK,
        ),
    ] = "sensing"
    rows: Annotated[
        int | str,
        About("Rows of the matrix; of a long table in --data, the column that names a value's row.", TASK, typed=str),
    ] = 5
    cols: Annotated[
        int | str,
        About("Columns of the matrix; of a long table, the column that names a value's column.", TASK, typed=str),
    ] = 5
    values: Annotated[
        str | None, About("The column of a long table that holds the values, one a line; with --rows and --cols.", TASK)
    ] = None
    shape: Annotated[str | None, About("Sides of a tensor, as 4x4x4.", TASK, "rows x cols")] = None
    rank: Annotated[int, About("Rank of the truth.", TASK)] = 1
    measurements: Annotated[int | None, About("Number of measurements.", TASK, "60 % of the entries")] = None
    task_seed: Annotated[int, About("Seed of the task; of the choice of labelled examples.", TASK)] = 0
    train: Annotated[
        int | None, About("Labelled examples to train on.", TASK, "8 a class; of a file, all that are not tested on")
    ] = None
    test: Annotated[
        int | float | str | None,
        About("Examples to test on, or a share as 20%.", TASK, "all that are left, at most 800", typed=str),
    ] = None
    classes: Annotated[str | None, About("Classes to keep, as 0,7.", TASK, "all")] = None
    balanced: Annotated[bool, About("As many training examples of each class.", TASK)] = False
    features: Annotated[int, About("Inputs of the network that labels --task teacher.", TASK)] = 20
    teacher_width: Annotated[
        str | None,
        About("Hidden widths of the network that labels --task teacher, as 20,10,5.", TASK, "the model's own"),
    ] = None
    data: Annotated[
        Path | None,
        Field(strict=False),
        About(
            "Your own data: a table with empty cells (.csv, .tsv, .xlsx, .parquet); an array with NaN for missing "
            "cells (.npy; .npz or .nc with values); a sparse matrix (.mtx); linear measurements A with their y and, "
            "where it is known, the truth (.npz, .nc); labelled examples X with their y, maybe with X_test and y_test "
            "(.npz, .nc); or a table of examples, with --target.",
            TASK,
        ),
    ] = None
    target: Annotated[str | None, About("The column of a table that holds the labels.", TASK)] = None
    columns: Annotated[str | None, About("Columns of a table to take, as a,b.", TASK, "all")] = None
    drop: Annotated[str | None, About("Columns of a table to leave out, as id,year.", TASK)] = None
    missing: Annotated[
        str | None,
        About("What else marks a missing cell, as -999,x; empty cells, NA, null, ? and - always do.", TASK),
    ] = None
    separator: Annotated[
        str | None, About("What separates cells: one character, or tab.", TASK, "found from the lines")
    ] = None
    decimal: Annotated[str | None, About("The decimal sign, a point or a comma.", TASK, "found from the cells")] = None
    index: Annotated[
        bool | None, About("Whether the first column of a table holds labels.", TASK, "yes where it is text")
    ] = None
    header: Annotated[
        bool | None, About("Whether the first line of a table names the columns.", TASK, "yes where it is text")
    ] = None
    standardize: Annotated[
        bool,
        About(
            "Centre and scale the cells of a table, to a variance of 1/rows, or the features of examples.",
            TASK,
            "yes for cells; no for examples",
        ),
    ] = True
    fit: Annotated[
        str | None,
        About(
            "By what a fit of labels is judged: errors, cross-entropy, squared or margin.",
            TASK,
            "errors; squared for numbers",
        ),
    ] = None
    eps_low: Annotated[
        float | None, About("Lowest loss that counts as a fit, so that losses from here to --eps do. For labels.", TASK)
    ] = None
    right: Annotated[
        bool, About("Where a fit is judged by a loss, ask that every training label be right too.", TASK)
    ] = False

    eps: Annotated[
        float | str,
        About(
            "Threshold ε: weights fit where their training loss is below it. A number; 5% for a share of the zero "
            "predictor's loss; 0 for an exact fit; evidence for the noise that makes the data most probable. For "
            "labels: how many may be wrong.",
            RUN,
            "0.0035; evidence for a table; 0 wrong labels",
            typed=str,
        ),
    ] = 0.0035
    method: Annotated[
        str,
        About(
            "auto, splitting, importance, nuts, rejection or another of `bayesgc list`, with options as "
            "splitting:particles=200.",
            RUN,
        ),
    ] = "auto"
    chains: Annotated[
        int | None, About("Number of independent chains, which of splitting are islands.", RUN, "the method's")
    ] = None
    draws: Annotated[
        int | None,
        About(
            "Draws to keep in each chain, whatever their size: in 8 chains 1000 of a 5x5 matrix take 5 MB.",
            RUN,
            "the method's, within 20 MB each for prior and posterior",
        ),
    ] = None
    precision: Annotated[
        float | None, About("Relative standard error of the mean generalisation loss to reach.", RUN, "the method's")
    ] = None
    max_seconds: Annotated[
        float | None,
        About(
            "Most seconds of wall time for the whole run, a table's second one on hidden cells included; loading the "
            "program and the data, saving and printing come on top.",
            RUN,
        ),
    ] = 600.0
    max_evaluations: Annotated[int | None, About("Most evaluations of the training loss in sampling.", RUN)] = None
    seed: Annotated[int, About("Seed of every random stream but the task's.", RUN)] = 0
    device: Annotated[str, About("auto, cpu, cuda, cuda:i or mps.", RUN)] = "auto"
    dtype: Annotated[str, About("float32 or float64.", RUN)] = "float32"

    gd: Annotated[bool, About("Also run gradient descent.", DESCENT)] = True
    gd_optimizer: Annotated[
        str, About("group-rmsprop, gd, momentum or adam.", DESCENT, "group-rmsprop; gd for labels")
    ] = "group-rmsprop"
    gd_lr: Annotated[float, About("Step size.", DESCENT)] = 1e-2
    gd_momentum: Annotated[float | None, About("Momentum.", DESCENT, "the optimizer's")] = None
    gd_steps: Annotated[int | None, About("Most steps.", DESCENT, "the paper's for the depth")] = None
    gd_init: Annotated[str, About("small or prior; for labels kaiming or prior.", DESCENT, "small; kaiming")] = "small"
    gd_init_scale: Annotated[float | None, About("Scale of a small start.", DESCENT, "the paper's for the depth")] = (
        None
    )
    gd_tol: Annotated[
        float, About("Stop at this share of the zero predictor's loss.", DESCENT, "1e-06; 0.01 for labels")
    ] = 1e-6
    gd_batch: Annotated[int | None, About("Labelled examples in a batch.", DESCENT, "2")] = None
    gd_epochs: Annotated[int | None, About("Most passes over labelled examples.", DESCENT, "60, or 2000 steps")] = None
    gd_protocol: Annotated[
        str | None, About("A published recipe, peleg-hein or chiang; other options change it. For labels.", DESCENT)
    ] = None
    restarts: Annotated[int, About("Number of independent starts.", DESCENT)] = 32
    map: Annotated[
        bool | None, About("Also find the most probable weights at an exact fit (MAP).", DESCENT, "where it is quick")
    ] = None

    @classmethod
    def names(cls, panel: str) -> frozenset[str]:
        """The options of one panel of the help."""
        return frozenset(
            name
            for name, field in cls.model_fields.items()
            if any(isinstance(about, About) and about.panel == panel for about in field.metadata)
        )

    @classmethod
    def check_name(cls, name: str) -> None:
        """Refuse a name that no option has, with the nearest one that there is."""
        if name not in cls.model_fields:
            near = _ALSO.get(name) or nearest(name, cls.model_fields)
            hint = f"did you mean {near}?" if near else f"choose one of {', '.join(cls.model_fields)}."
            raise InputError(f"there is no option {name!r}; {hint}")

    @property
    def given(self) -> frozenset[str]:
        """The options that were named, with the default's value or not."""
        return frozenset(self.model_fields_set)


_ALSO = {
    "epsilon": "eps", "threshold": "eps", "tolerance": "eps", "learning_rate": "gd_lr", "lr": "gd_lr",
    "step_size": "gd_lr", "optimizer": "gd_optimizer", "momentum": "gd_momentum", "steps": "gd_steps",
    "epochs": "gd_epochs", "layers": "depth", "starts": "restarts", "samples": "draws", "seeds": "seed",
    "task_seeds": "task_seed", "time": "max_seconds", "dataset": "data", "file": "data",
}  # fmt: skip
"""What else options are called, where no name is as near."""
_WHOLE = "a whole number"
_EXPECTED = {
    "dict_type": "a table of names with their values", "list_type": "a list, as [2, 3]", "string_type": "a text",
    "bool_type": "true or false", "bool_parsing": "true or false", "float_type": "a number",
    "float_parsing": "a number", "int_type": _WHOLE, "int_parsing": _WHOLE, "int_from_float": _WHOLE,
}  # fmt: skip
"""What pydantic calls by words of Python."""


def expected(fault: Mapping[str, Any]) -> str:
    """What must stand in place of the value that pydantic found fault with."""
    found, value = _EXPECTED.get(fault["type"], fault["msg"].removeprefix("Input should be ")), fault["input"]
    return f"{found}: write {int(value)}" if found == _WHOLE and _is_whole(value) else found


def _is_whole(value: object) -> bool:
    return isinstance(value, float) and value.is_integer()


def refusal(error: ValidationError, parts: int | None = None, keys: Iterable[str] = ()) -> InputError:
    """The first fault that pydantic found, as one line that names the key, the value and what is allowed.

    ``parts`` of its path are the key; the rest may name the member of a union of types. ``keys`` are those that there
    are: a key that is near one of them comes before one that is missing, of which it may be a slip.
    """
    faults, keys = error.errors(), list(keys)
    slips = (fault for fault in faults if fault["type"] == "extra_forbidden" and nearest(fault["loc"][-1], keys))
    fault = next(slips, faults[0])
    key = ".".join(str(part) for part in fault["loc"][:parts])
    if fault["type"] == "missing":
        return InputError(f"{key} is missing.")
    if fault["type"] == "extra_forbidden":
        near = nearest(fault["loc"][-1], keys)
        return InputError(f"there is no key {key!r}{f'; did you mean {near}?' if near else '.'}")
    return InputError(f"{key} is {fault['input']!r}; it must be {expected(fault)}.")
