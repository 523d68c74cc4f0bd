"""The flat options of one inference: their names, types, defaults and help, and what they stand for.

The command line and sweeps read them from here, so an option that is added here is there in both. An option is given
or left open; what is open takes the default, which may depend on the task.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bayesgc.validate import InputError, integer_in, one_of, positive_integer, real_in

if TYPE_CHECKING:  # torch is imported when the objects are made, so that help need not wait for it
    from bayesgc.inference import SGD, GradientDescent
    from bayesgc.models import MLP, InfiniteMLP, LeNet, Model
    from bayesgc.task import Task

MODEL, TASK, RUN, DESCENT = "Model", "Task", "Conditioning", "Gradient descent"

_OF_SYNTHETIC_TASKS = ("task", "rows", "cols", "shape", "rank", "measurements", "features", "teacher_width")
_OF_ARRAYS = ("rows", "cols", "shape", "rank", "measurements", "gd_steps", "gd_init_scale")
_OF_CHOICES = ("train", "test", "classes", "balanced")
_OF_LABELS = (
    "fit",
    "eps_low",
    "right",
    "target",
    *_OF_CHOICES,
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
_OF_PRIORS = ("prior", "scaling", "normalize_weights")
_OF_TABLES = ("index", "header")
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

_OF_TASKS = ("rows", "cols", "shape", "rank", "measurements")


@dataclass(frozen=True)
class About:
    """What the help says of an option.

    ``shown`` is the default in words where it is left open; ``typed`` the type on the command line where that differs.
    """

    help: str
    panel: str
    shown: str | None = None
    typed: type | None = None


class Options(BaseModel):
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
            "max(5, entries / longest side); 20,10,5; 0.5",
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
    rows: Annotated[int, About("Rows of the matrix.", TASK)] = 5
    cols: Annotated[int, About("Columns of the matrix.", TASK)] = 5
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
            "Your own task: .npz or .nc with A, y and maybe truth, or with X, y and maybe X_test, y_test; a .csv table "
            "with empty cells; or a .csv or .parquet of examples, with --target.",
            TASK,
        ),
    ] = None
    target: Annotated[str | None, About("The column of a table that holds the labels.", TASK, "none")] = None
    index: Annotated[
        bool | None, About("Whether the first column of a .csv holds labels.", TASK, "when it is text")
    ] = None
    header: Annotated[
        bool | None, About("Whether the first line of a .csv names the columns.", TASK, "when it is text")
    ] = None
    standardize: Annotated[
        bool, About("Centre and scale the columns of a .csv, or the features of examples.", TASK, "for a .csv")
    ] = True
    fit: Annotated[
        str | None, About("What fits labels: errors, cross-entropy, squared or margin.", TASK, "errors; squared")
    ] = None
    eps_low: Annotated[
        float | None, About("A lower end beside eps: a fit has a loss from here to eps. For labels.", TASK, "none")
    ] = None
    right: Annotated[bool, About("A fit by a loss has every training label right too.", TASK)] = False

    eps: Annotated[
        float | str,
        About(
            "Threshold on the training loss; 5% is of the zero predictor's, 0 an exact fit, evidence the noise that "
            "makes the data most probable. For labels: how many may be wrong.",
            RUN,
            "0.0035; 0 wrong labels",
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

    gd: Annotated[bool, About("Run gradient descent beside.", DESCENT)] = True
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
    map: Annotated[bool | None, About("Find the mode at an exact fit beside.", DESCENT, "where it is quick")] = None

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Options:
        """The options that are ``given``, and the defaults of the others.

        Raises:
            InputError: naming an option that does not exist, is of the wrong type, or could have no effect.
        """
        for name in given:
            cls.check_name(name)
        if given.get("width") == math.inf:
            raise InputError("width is inf; write it as a text with one for each hidden layer, as 'inf,inf'.")
        try:
            options = cls(**given)
        except ValidationError as error:
            raise refusal(error, parts=1) from None
        options.check()
        return options

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

    def check(self) -> None:
        """Refuse options that contradict each other, so that none is ever silently ignored.

        Raises:
            InputError: naming the first option that could have no effect, and why.
        """
        if self.data is not None:
            self._refuse(_OF_SYNTHETIC_TASKS, f"describes a synthetic task; --data {self.data} brings its own")
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
            self._refuse(_OF_TABLES, f"is for a .csv table; {held}")
        if not self.gd:
            self._refuse(_OF_DESCENT, "is for gradient descent, which --no-gd turns off")
        if self.gd_init == "prior":
            self._refuse(("gd_init_scale",), "is for a small start; --gd-init is 'prior'")
        integer_in("--task-seed", self.task_seed, 0)
        if self.max_seconds is not None:
            real_in("--max-seconds", self.max_seconds, 0, open_low=True)
        if self.max_evaluations is not None:
            positive_integer("--max-evaluations", self.max_evaluations)

    def _check_synthetic(self) -> None:
        """Refuse options that the named task does not have."""
        from bayesgc.plugins import is_foreign
        from bayesgc.task import DATASETS, TASKS

        self._refuse(("target",), "is a column of a table; there is no --data")
        if self.task not in DATASETS:
            if self.task in TASKS and not is_foreign(TASKS[self.task]):
                self._check_kind(labelled=False, named=f"--task is {self.task!r}")
            self._refuse(("standardize",), "is for tables and labelled examples; there is no --data")
            return
        self._check_kind(labelled=True, named=f"--task is {self.task!r}")
        for name in _OF_TEACHERS:
            if not {name, "network" if name == "teacher_width" else name} & DATASETS[self.task].options:
                self._refuse((name,), f"is for a teacher; --task is {self.task!r}")

    def _check_kind(self, *, labelled: bool, named: str) -> None:
        """Refuse options that are for another kind of task than ``named``."""
        from bayesgc.models import FAMILIES, NETWORKS

        if not labelled:
            self._refuse(_OF_LABELS, f"is for labelled examples; {named}")
            if self.family in NETWORKS:
                raise InputError(f"--family {self.family} is for labelled examples; {named}.")
            return
        self._refuse(_OF_ARRAYS, f"is for an array; {named}, labelled examples")
        self._refuse(("depth",), "is for a factorisation; an mlp has a --width for each hidden layer, as 20,10,5")
        if self.normalize:
            self._refuse(("normalize",), "is for a factorisation, not an mlp")
        if self.family not in (None, *NETWORKS):
            one_of("family", self.family, [*FAMILIES, *NETWORKS])
            known = " or ".join(NETWORKS)
            raise InputError(f"--family {self.family} is for an array; {named}, labelled examples: {known}.")

    def _refuse(self, options: tuple[str, ...], reason: str) -> None:
        for name in options:
            if name in self.given:
                raise InputError(f"--{name.replace('_', '-')} {reason}; leave it out.")

    def _check_start(self) -> None:
        """Refuse small initial weights of a program, which has no weights to make small."""
        names = ("gd_init", "gd_init_scale") if self.gd_init == "small" else ("gd_init_scale",)
        self._refuse(names, f"is for a factorisation; --model {self.model} starts at draws of its prior")

    @property
    def _is_table(self) -> bool:
        return self.data is not None and self.data.suffix.lower() == ".csv"

    @property
    def labelled(self) -> bool:
        """Whether the task is labelled examples."""
        from bayesgc.task import DATASETS
        from bayesgc.task.files import holds_examples

        if self.data is None:
            return self.task in DATASETS
        return self.target is not None or holds_examples(self.data)

    def files(self) -> list[Path]:
        """The user's files that these options name: data, the program, the priors."""
        from bayesgc.models.priors import given_priors
        from bayesgc.plugins import is_file, split

        priors = [each for each in given_priors(self.prior) if isinstance(each, str)]
        specs = [*([] if self.model is None else [self.model]), self.method, self.task, *priors]
        sources = [split(spec.strip())[0] for spec in specs]
        return [*([] if self.data is None else [self.data]), *(Path(each) for each in sources if is_file(each))]

    def make_task(self) -> Task:
        """The synthetic task, or the one in the user's file."""
        from bayesgc.task import DATASETS, TASKS, labelled_view, network_inputs, task_named, task_options

        if self.data is not None or self.task in DATASETS:
            task = self._make_examples() if self.data is None else self._load(self.data)
            examples = labelled_view(task)
            if examples is None or (self.eps_low is None and not self.right):
                return task
            return examples.with_fit(examples.criterion.name, low=self.eps_low, right=self.right)
        known = task_options(TASKS.find(self.task, DATASETS)[0])
        given = {name: getattr(self, name) for name in _OF_TASKS if name in self.given}
        self._refuse(tuple(given.keys() - known), f"is no option of this task; --task is {self.task!r}")
        if self.shape is not None:
            given["shape"] = _sides(self.shape)
        task = task_named(self.task, given | ({"seed": self.task_seed} if "seed" in known else {}))
        self._check_kind(labelled=network_inputs(task.domain) is not None, named=f"--task is {self.task!r}")
        return task

    def _load(self, data: Path) -> Task:
        """The task in the user's file."""
        from bayesgc.task import load, network_inputs

        chosen = {name: getattr(self, name) for name in ("target", *_OF_CHOICES)}
        given = {name: getattr(self, name) for name in ("standardize",) if name in self.given}
        seed = self.task_seed if "task_seed" in self.given else None
        try:
            task = load(data, seed=seed, fit=self.fit, index=self.index, header=self.header, **chosen, **given)
        except InputError as error:
            # Here the seed of a task has another name, as there are others.
            raise InputError(str(error).replace("`seed`", "`task_seed`")) from None
        self._check_kind(labelled=network_inputs(task.domain) is not None, named=f"--data is {str(data)!r}")
        return task

    def _make_examples(self) -> Task:
        """Some of a named set."""
        from bayesgc.task import DATASETS

        examples = DATASETS[self.task]
        own = {"features": lambda: self.features, "network": self._make_teacher}
        return examples(
            classes=self.classes,
            train=self.train,
            test=self.test,
            balanced=self.balanced,
            seed=self.task_seed,
            fit=self.fit or "errors",
            standardize="standardize" in self.given and self.standardize,
            **{name: make() for name, make in own.items() if name in examples.options},
        )

    def make_model(self, task: Task) -> Model:
        """The user's program, or the model that the options describe, with defaults that fit the task."""
        from bayesgc.models import FAMILIES, model_named
        from bayesgc.models.priors import is_scaled
        from bayesgc.task import network_inputs

        if self.model is not None:
            return self._named(model_named(self.model))
        if network_inputs(task.domain) is not None:
            return self._make_network()
        if "scaling" in self.given and not is_scaled(self.prior):
            self._refuse(("scaling",), f"is for priors that take a scale; --prior {self.prior} takes none")
        order = len(task.shape)
        family = ("matrix" if order == 2 else "cp") if self.family is None else one_of("family", self.family, FAMILIES)
        if family == "matrix" and order > 2:
            raise InputError(
                f"--family matrix is for matrices; the task has the shape {task.shape}: choose cp or tensor-train."
            )
        enough = math.prod(task.shape) // max(task.shape)  # for any array of this shape
        return FAMILIES[family](
            depth=self.depth,
            width=max(5, enough) if self.width is None else self._one_width(),
            activation=self.activation,
            prior=self.prior,
            scaling=self.scaling,
            normalize=self.data is None if self.normalize is None else self.normalize,
        )

    def _named(self, model: Model) -> Model:
        """The user's model; a module with the prior that the options give it."""
        from bayesgc.models import as_module, factorised

        if (module := as_module(model)) is not None:
            return replace(module, prior=self.prior, scaling=self._scaling, normalize_weights=self.normalize_weights)
        self._refuse(_OF_PRIORS, f"is for a family or a torch module; --model {self.model} brings its own")
        if factorised(model) is None:
            self._check_start()
        return model

    def _make_teacher(self) -> Model:
        """The network that a teacher is drawn from: the model's own, unless it has widths of its own."""
        own = self.teacher_width
        return self._make_network() if own is None else self._network_of(own, "--teacher-width")

    @property
    def _scaling(self) -> str:
        """That of a network."""
        return self.scaling if "scaling" in self.given else "fan-in"

    def _make_network(self) -> MLP | LeNet | InfiniteMLP:
        """The network that the options describe."""
        return self._network_of(self.width, "--width")

    def _network_of(self, width: int | str | None, name: str) -> MLP | LeNet | InfiniteMLP:
        """The network that the options describe, of this width, which ``name`` gives."""
        from bayesgc.models import NETWORKS, InfiniteMLP

        described: dict[str, Any] = {
            "activation": self.activation if "activation" in self.given else "relu",
            "bias": self.bias,
        }
        described |= {"prior": self.prior, "scaling": self._scaling}
        layers, family = _infinite_layers(width, name), self.family or "mlp"
        if layers is not None:
            self._refuse(("normalize_weights",), f"divides by the size of weights; with {name} {width} there are none")
            if family != "mlp":
                raise InputError(f"{name} is {width!r}; infinitely wide is an mlp, and --family is {family!r}.")
            return InfiniteMLP(layers, **described)
        described["normalize_weights"] = self.normalize_weights
        if width is not None:
            share = family == "lenet" and name == "--width"
            described["width"] = _share(width) if share else _widths(width, name)
        return NETWORKS[family](**described)

    def _one_width(self) -> int:
        """The width of a factorisation, which is the same for all hidden layers."""
        if _infinite_layers(self.width, "--width") is not None:
            raise InputError(f"--width is {self.width!r}; infinitely wide is an mlp for labelled examples.")
        widths = _widths(self.width)
        if len(widths) != 1:
            raise InputError(f"--width is {self.width!r}; a factorisation has one width; an mlp one for each layer.")
        return widths[0]

    def make_descent(self) -> GradientDescent | None:
        """Gradient descent as described, unless it is turned off."""
        from bayesgc.inference import GradientDescent

        if not self.gd:
            return None
        self._refuse(
            ("gd_batch", "gd_epochs", "gd_protocol"),
            "is for labelled examples; an array is fitted whole, for --gd-steps",
        )
        return GradientDescent(
            optimizer=self.gd_optimizer,
            lr=self.gd_lr,
            momentum=self.gd_momentum,
            steps=self.gd_steps,
            init=self.gd_init,
            init_scale=self.gd_init_scale,
            tol=self.gd_tol,
            restarts=self.restarts,
        )

    def make_training(self) -> SGD | None:
        """Stochastic gradient descent as described, unless it is turned off; what is left open is its own default."""
        from bayesgc.inference import SGD

        if not self.gd:
            return None
        self._refuse(("gd_steps", "gd_init_scale"), "is for arrays; labelled examples have --gd-epochs")
        names = {"gd_optimizer", "gd_lr", "gd_momentum", "gd_batch", "gd_epochs", "gd_init", "gd_tol", "restarts"}
        given = {name.removeprefix("gd_"): getattr(self, name) for name in names & self.given}
        return SGD(**given) if self.gd_protocol is None else SGD.preset(self.gd_protocol, **given)

    def settings(self, task: Task | None = None) -> dict[str, Any]:
        """The arguments of `bayesgc.infer` beside model and task; for labelled examples those that suit them."""
        names = ("method", "map", "seed", "chains", "draws", "precision", "max_seconds", "max_evaluations")
        from bayesgc.task import linear_view

        labelled = self.labelled if task is None else linear_view(task) is None
        descent = self.make_training() if labelled else self.make_descent()
        eps = None if labelled and "eps" not in self.given else self.eps
        return {"eps": eps, "gd": descent or False} | {
            name: getattr(self, name) for name in (*names, "device", "dtype")
        }


def _widths(width: object, name: str = "--width") -> tuple[int, ...]:
    """The numbers in a text such as ``20,10,5``."""
    parts = [part.strip() for part in str(width).split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise InputError(f"{name} is {width!r}; write whole numbers, each at least 1, as 5, or 20,10,5 for an mlp.")
    return tuple(map(int, parts))


def _infinite_layers(width: object, name: str) -> int | None:
    """The number of hidden layers in a text such as ``inf,inf``; None where it says nothing of infinity."""
    from bayesgc.models.infinite_mlp import INFINITE

    parts = [part.strip() for part in str(width).split(",")]
    if INFINITE not in parts:
        return None
    if set(parts) != {INFINITE}:
        raise InputError(f"{name} is {width!r}; all hidden layers are infinitely wide, as inf,inf, or none is.")
    return len(parts)


def _share(width: object) -> float | tuple[int, ...]:
    """The share in a text such as ``0.5``, or the four widths in one with commas."""
    return _widths(width) if "," in str(width) else real_in("--width", str(width), 0, 100, open_low=True)


def _sides(shape: str) -> tuple[int, ...]:
    """The sides in a text such as ``4x4x4``."""
    sides = shape.split("x")
    if len(sides) < 2 or not all(side.isascii() and side.isdigit() and int(side) for side in sides):
        raise InputError(f"--shape is {shape!r}; write two or more whole numbers, each at least 1, as 4x4x4.")
    return tuple(int(side) for side in sides)


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
