"""The flat options of one inference: their names, types, defaults and help.

The command line and sweeps read them from here, so an option that is added here is there in both. An option is given
or left open; what is open takes the default, which may depend on the task.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bayesgc.validate import InputError

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
        About("A Pyro program or torch.nn.Module of your own, file.py:name or package.module:name.", MODEL, "none"),
    ] = None
    family: Annotated[
        str | None,
        About("matrix, cp, tensor-train; mlp or lenet for labels.", MODEL, "matrix; cp for tensors; mlp for labels"),
    ] = None
    depth: Annotated[int, About("Weight matrices.", MODEL)] = 2
    width: Annotated[
        int | str | None,
        About(
            "Hidden width, of cp the number of outer products; of each hidden layer of an mlp, as 20,10,5, or inf,inf "
            "for infinitely wide ones; of a lenet the share of the full one.",
            MODEL,
            "max(5, entries / longest side), of a table its root; 20,10,5; 0.5",
            typed=str,
        ),
    ] = None
    activation: Annotated[str, About("linear, tanh, leaky-relu or relu.", MODEL)] = "linear"
    bias: Annotated[bool, About("Give each layer of a network a bias.", MODEL)] = False
    prior: Annotated[
        str,
        About(
            "A name as in `bayesgc list`, student-t:df=3 with options; file.py:function; a list by layer; by names of "
            "a module's weights, as 'conv*=uniform;*=gaussian'.",
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
        str | None, About("The column of values of a long table, one a line; with --rows and --cols.", TASK, "none")
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
    features: Annotated[int, About("Inputs of a teacher.", TASK)] = 20
    teacher_width: Annotated[
        str | None, About("Hidden widths of the teacher, as 20,10,5.", TASK, "the model's own")
    ] = None
    data: Annotated[
        Path | None,
        Field(strict=False),
        About(
            "Your own task: a table with empty cells (.csv, .tsv, .xlsx, .parquet), an array with NaN (.npy; "
            ".npz or .nc with values), .mtx; .npz or .nc with A, y and maybe truth, or with X, y and maybe X_test, "
            "y_test; or a table of examples, with --target.",
            TASK,
        ),
    ] = None
    target: Annotated[str | None, About("The column of a table that holds the labels.", TASK, "none")] = None
    columns: Annotated[str | None, About("Columns of a table to take, as a,b.", TASK, "all")] = None
    drop: Annotated[str | None, About("Columns of a table to leave out, as id,year.", TASK, "none")] = None
    missing: Annotated[
        str | None,
        About("More markers of missing cells, as -999,x.", TASK, "empty, NA, null, ?, - and like"),
    ] = None
    separator: Annotated[
        str | None, About("What separates cells: one sign, or tab.", TASK, "what divides all lines alike")
    ] = None
    decimal: Annotated[str | None, About("The sign before decimals, . or a comma.", TASK, "what the cells have")] = None
    index: Annotated[
        bool | None, About("Whether the first column of a table holds labels.", TASK, "when it is text")
    ] = None
    header: Annotated[
        bool | None, About("Whether the first line of a table names the columns.", TASK, "when it is text")
    ] = None
    standardize: Annotated[
        bool, About("Centre and scale the cells of a table, or the features of examples.", TASK, "for cells")
    ] = True
    fit: Annotated[
        str | None, About("What fits labels: errors, cross-entropy, squared or margin.", TASK, "errors; squared")
    ] = None
    eps_low: Annotated[
        float | None, About("Least loss of a fit, which then lies from here to eps. For labels.", TASK, "none")
    ] = None
    right: Annotated[bool, About("A fit by a loss has every training label right too.", TASK)] = False

    eps: Annotated[
        float | str,
        About(
            "Threshold on the training loss; 5% is of the zero predictor's, 0 an exact fit, evidence the noise that "
            "makes the data most probable. For labels: how many may be wrong.",
            RUN,
            "0.0035; evidence for a table; 0 wrong labels",
            typed=str,
        ),
    ] = 0.0035
    method: Annotated[
        str,
        About(
            "auto, splitting, importance, nuts, rejection or another of `bayesgc list`; splitting:particles=200.", RUN
        ),
    ] = "auto"
    chains: Annotated[int | None, About("Independent islands or chains.", RUN, "the method's")] = None
    draws: Annotated[int | None, About("Draws kept in each chain.", RUN, "1000, within 20 MB")] = None
    precision: Annotated[float | None, About("Relative standard error of E[L_gen] to reach.", RUN, "the method's")] = (
        None
    )
    max_seconds: Annotated[float | None, About("Wall time of the whole run.", RUN)] = 600.0
    max_evaluations: Annotated[int | None, About("Training losses to evaluate at most.", RUN)] = None
    seed: Annotated[int, About("Seed of every random stream but the task's.", RUN)] = 0
    device: Annotated[str, About("auto, cpu, cuda, cuda:i or mps.", RUN)] = "auto"
    dtype: Annotated[str, About("float32 or float64.", RUN)] = "float32"

    gd: Annotated[bool, About("Also run gradient descent.", DESCENT)] = True
    gd_optimizer: Annotated[
        str, About("group-rmsprop, gd, momentum or adam.", DESCENT, "group-rmsprop; gd for labels")
    ] = "group-rmsprop"
    gd_lr: Annotated[float, About("Step size.", DESCENT)] = 1e-2
    gd_momentum: Annotated[float | None, About("Momentum.", DESCENT, "the optimizer's")] = None
    gd_steps: Annotated[int | None, About("Most steps.", DESCENT, "the paper's")] = None
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
        str | None, About("peleg-hein or chiang; other options change it. For labels.", DESCENT, "none")
    ] = None
    restarts: Annotated[int, About("Independent starts.", DESCENT)] = 32
    map: Annotated[bool | None, About("Also find the mode at an exact fit.", DESCENT, "where it is quick")] = None

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
            near = get_close_matches(str(name), cls.model_fields, n=1)
            hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(cls.model_fields)}."
            raise InputError(f"there is no option {name!r}; {hint}")

    @property
    def given(self) -> frozenset[str]:
        """The options that were named, with the default's value or not."""
        return frozenset(self.model_fields_set)


def refusal(error: ValidationError, parts: int | None = None) -> InputError:
    """The first fault that pydantic found, as one line that names the key, the value and what is allowed.

    ``parts`` of its path are the key; the rest may name the member of a union of types.
    """
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"][:parts])
    if fault["type"] == "missing":
        return InputError(f"{key} is missing.")
    if fault["type"] == "extra_forbidden":
        return InputError(f"there is no key {key!r}.")
    return InputError(f"{key} is {fault['input']!r}; it must be {fault['msg'].removeprefix('Input should be ')}.")
