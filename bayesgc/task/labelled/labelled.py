"""Labelled examples: a network is to give every training input its label, and is tested on inputs it has not seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.task.domain import Inputs
from bayesgc.task.labelled.bins import fit_of
from bayesgc.task.labelled.fits import Fit, as_numbers, fit_named, is_wrong
from bayesgc.task.labelled.labels import as_classes, as_inputs, check_pairs
from bayesgc.task.task import Reference, Task, Variables
from bayesgc.validate import InputError, real_array, real_in


@dataclass(frozen=True, eq=False, repr=False)
class LabelledTask(Task):
    """n examples with labels, and the criterion that says which outputs fit them.

    A draw of a network is its outputs at the training inputs, (example, output): one output for each class, or one for
    a number. It generalises by the share of test labels that are wrong (``test_error``), for numbers by the mean
    squared error on the test examples (``gen_loss``).

    ``description`` says where the examples came from, ``independent`` whether they are an independent sample, which a
    certificate asks for, and ``preparation`` what was computed from the training inputs to prepare them.
    """

    inputs: Inputs
    labels: Shaped[np.ndarray, " example"]
    test_labels: Shaped[np.ndarray, " test"] | None
    classes: tuple[str, ...] | None
    criterion: Fit
    description: dict[str, int | float | str] = field(default_factory=dict)
    independent: bool = True
    preparation: str | None = None

    def __post_init__(self) -> None:
        if self.criterion.of_classes and self.classes is None:
            raise InputError(f"the fit {self.criterion.name!r} is for classes, and the labels are numbers.")

    output: ClassVar[str] = "train_output"
    measured: ClassVar[dict[str, tuple[str, ...]]] = {"prediction": ("test_example",)}

    @property
    def kind(self) -> str:  # type: ignore[override]
        """``classification`` or ``regression``."""
        return "regression" if self.classes is None else "classification"

    @property
    def primary(self) -> str:  # type: ignore[override]
        """The measure of generalisation."""
        return "gen_loss" if self.classes is None else "test_error"

    @property
    def fit(self) -> str:  # type: ignore[override]
        """The measure of fit."""
        return self.criterion.measure

    @property
    def shape(self) -> tuple[int, int]:  # type: ignore[override]
        """(examples, outputs)."""
        return self.inputs.count, self.inputs.outputs

    @property
    def dims(self) -> tuple[str, ...]:  # type: ignore[override]
        """The names of these axes."""
        return "example", "output"

    @property
    def coords(self) -> dict[str, list[str]]:  # type: ignore[override]
        """The names of the classes."""
        return {} if self.classes is None else {"output": list(self.classes)}

    @property
    def domain(self) -> Inputs:
        """The inputs, of training and test."""
        return self.inputs

    @property
    def judged(self) -> bool:
        """Whether there is a test set."""
        return self.test_labels is not None

    @property
    def facts(self) -> dict[str, object]:
        """Where the examples came from, how many there are, of what size, and what a fit is."""
        own = {"kind": self.kind, "shape": list(self.shape), "examples": self.inputs.count}
        own |= {"features": list(self.inputs.features), "test_examples": self.tested, "fit": self.criterion.name}
        own |= {"classes": None if self.classes is None else list(self.classes), "independent": self.independent}
        known = {} if self.preparation is None else {"preparation": self.preparation}
        return {**self.description, **own, **self.criterion.facts, **known}

    @property
    def size_in_words(self) -> str:
        """Examples, features, classes and test examples."""
        kinds = [] if self.classes is None else [f"{len(self.classes)} classes"]
        sides = self.inputs.features
        features = f"{'×'.join(map(str, sides))} feature{'' if sides == (1,) else 's'}"
        tested = f"{self.tested or 'no'} test examples"
        return ", ".join([f"of {self.inputs.count} examples", features, *kinds, tested])

    def observed(self) -> Variables:
        """The labels, as numbers of their classes."""
        return {"y": (("example",), self.labels)}

    def constants(self) -> Variables:
        """The test labels; the inputs are the user's to keep."""
        return {} if self.test_labels is None else {"y_test": (("test_example",), self.test_labels)}

    @property
    def tested(self) -> int:
        """The test examples."""
        return 0 if self.test_labels is None else len(self.test_labels)

    @property
    def kept_numbers(self) -> int:
        """The outputs, and a prediction for each test example."""
        return self.inputs.count * self.inputs.outputs + (0 if self.test_labels is None else len(self.test_labels)) + 10

    def threshold(self, eps: float | str | None) -> float:
        """ε as the fit takes it.

        Raises:
            InputError: for what is no number, or none that the fit takes.
        """
        if eps is None:
            eps = self.criterion.default
            if eps is None:
                raise InputError(self._no_threshold())
        if isinstance(eps, str):
            try:
                eps = float(eps)
            except ValueError:
                raise InputError(
                    f"eps is {eps!r}; for labelled examples it must be a number, as the fit {self.criterion.name!r} "
                    "takes it."
                ) from None
        return self.criterion.check(real_in("eps", eps, 0), self.inputs.count)

    def _no_threshold(self) -> str:
        """That a loss has no threshold of its own, with one to begin with."""
        silent = float(self.score(torch.zeros(self.inputs.count * self.inputs.outputs, 1))[0])
        begin = f"`eps={silent / 2:.2g}`, half the loss of outputs of 0" if silent > 0 else "a number above 0"
        return f"the fit {self.criterion.name!r} needs a threshold: give `eps`, such as {begin}."

    def with_fit(self, name: str, *, low: float | None = None, right: bool = False) -> LabelledTask:
        """The same task under another registered fit.

        Args:
            name: the fit.
            low: of a loss a lower end beside the upper one, ε: fits have a loss in [low, ε).
            right: of a loss whether every training label must be right too.

        Raises:
            InputError: for an unknown name, a fit for classes where the labels are numbers, or a lower end of no loss.
        """
        return replace(self, criterion=fit_of(name, low, right))

    @property
    def scored(self) -> str:  # type: ignore[override]
        """As the fit says it."""
        return self.criterion.scored

    def shown(self, threshold: float) -> float:
        """As the fit shows it."""
        return self.criterion.shown(threshold)

    def score(self, outputs: Float[Tensor, "entry draw"]) -> Float[Tensor, " draw"]:
        """That of the fit; not finite where an output is not."""
        size = outputs.square().sum(0)
        return self.criterion.score(outputs.unflatten(0, self.shape), self._labels.like(outputs)) + (size - size)

    def nats(self, high: float, low: float) -> float:
        """By the fit."""
        return self.criterion.nats(high, low, self.inputs.count)

    def readings(self, high: float, low: float) -> list[float]:
        """Those of the fit."""
        return self.criterion.readings(high, low, self.inputs.count)

    def generalisation(
        self, outputs: Float[Tensor, "entry draw"], held_out: Float[Tensor, "held_out draw"] | None = None
    ) -> Float[Tensor, " draw"] | None:
        """The share of test labels that are wrong, or the mean squared error on the test examples."""
        if self._test_labels is None or held_out is None:
            return None
        outputs, labels = self._tested(held_out), self._test_labels.like(held_out)
        if self.classes is None:
            return (outputs - as_numbers(labels, outputs)).square().mean((0, 1))
        return is_wrong(outputs, labels).to(outputs.dtype).mean(0)

    def measures(
        self,
        outputs: Float[Tensor, "entry draw"],
        held_out: Float[Tensor, "held_out draw"] | None = None,
        score: Float[Tensor, " draw"] | None = None,
    ) -> dict[str, Float[Tensor, "draw *rest"]]:
        """The measures of fit and of generalisation, for classes also ``train_errors`` and ``prediction``.

        ``prediction`` is the class of the largest output for each test example (draw, test), where there are any.
        """
        score = self.score(outputs) if score is None else score
        shaped, labels = outputs.unflatten(0, self.shape), self._labels.like(outputs)
        found = {self.fit: self.criterion.reported(score, shaped, labels)}
        if self.classes is not None and self.fit != "train_errors":
            wrong = is_wrong(shaped, labels)
            found["train_errors"] = wrong.to(outputs.dtype).sum(0)
        judged = self.generalisation(outputs, held_out)
        if judged is not None and held_out is not None:
            found[self.primary] = judged
            if self.classes is not None:
                # Many times as fast as argmax, which takes a dimension between others one entry at a time.
                found["prediction"] = self._tested(held_out).max(1).indices.T.to(outputs.dtype)
        return found

    def replicated(
        self, outputs: Float[Tensor, "entry draw"], fit: Float[Tensor, " draw"], source: torch.Generator
    ) -> dict[str, Shaped[Tensor, "draw example"]]:
        """The class that each draw gives each training example; of numbers its output, with noise of its residuals."""
        shaped = outputs.unflatten(0, self.shape)
        if self.classes is not None:
            return {"y": shaped.argmax(1).T}
        noise = torch.randn(shaped[:, 0].shape, generator=source, dtype=outputs.dtype)
        return {"y": (shaped[:, 0] + fit.clamp(min=0).sqrt().to(outputs) * noise).T}

    def references(self, *, normalize: bool = False, stop: Callable[[], bool] = lambda: False) -> dict[str, Reference]:
        """The most common label, nearest neighbour and logistic or ridge regression."""
        from bayesgc.task.labelled.references import reference_points  # which are functions of a task

        return reference_points(self)

    def _tested(self, held_out: Float[Tensor, "held_out draw"]) -> Float[Tensor, "test output draw"]:
        return held_out.unflatten(0, (-1, self.inputs.outputs))

    @cached_property
    def _labels(self) -> DeviceCopies:
        return DeviceCopies(self.labels)

    @cached_property
    def _test_labels(self) -> DeviceCopies | None:
        return None if self.test_labels is None else DeviceCopies(self.test_labels)


def classification(
    X: ArrayLike,
    y: ArrayLike,
    *,
    test: tuple[ArrayLike, ArrayLike] | None = None,
    fit: str = "errors",
    classes: Sequence[str] | None = None,
    description: dict[str, int | float | str] | None = None,
    independent: bool = True,
) -> LabelledTask:
    """A task of classes from examples and labels.

    Args:
        X: training inputs (example, *features), used as they are.
        y: their labels (example): whole numbers, ±1, or text; each distinct one is a class, in sorted order.
        test: inputs and labels to test on, of the same features and of the same classes.
        fit: what a fit is: ``errors``, ``cross-entropy``, ``margin``, ``squared`` or a registered name.
        classes: the names of all classes, in order, where they are known beforehand: then none needs an example. By
            default each one needs a training and, if there is a test set, a test example.
        description: where the examples come from, for the record.
        independent: whether they are an independent sample, as a certificate asks.

    Raises:
        InputError: for arrays that do not match, labels of one class, or classes that lack an example.
    """
    inputs, labels = as_inputs("X", X), np.asarray(y)
    check_pairs("X", inputs, "y", labels)
    names, codes = as_classes(labels, classes)
    test_inputs, test_codes = _test_set(inputs, test, lambda found: as_classes(found, names, test=True)[1])
    if classes is None and test_codes is not None and (lacking := sorted({*range(len(names))} - {*test_codes})):
        raise InputError(
            f"class {names[lacking[0]]} has no test example; every class among the training labels needs one."
        )
    domain = Inputs(inputs, test_inputs, len(names))
    facts = description or {}
    return LabelledTask(domain, codes, test_codes, names, fit_named(fit), facts, independent)


def regression(
    X: ArrayLike,
    y: ArrayLike,
    *,
    test: tuple[ArrayLike, ArrayLike] | None = None,
    description: dict[str, int | float | str] | None = None,
) -> LabelledTask:
    """A task of numbers from examples and their values; the fit is squared error.

    Args:
        X: training inputs (example, *features), used as they are.
        y: a number for each.
        test: inputs and numbers to test on.
        description: where the examples come from, for the record.

    Raises:
        InputError: for arrays that do not match or numbers that are not finite.
    """
    inputs, targets = as_inputs("X", X), real_array("y", y)
    check_pairs("X", inputs, "y", targets)
    test_inputs, test_targets = _test_set(inputs, test, lambda found: real_array("y_test", found))
    return LabelledTask(
        Inputs(inputs, test_inputs, 1), targets, test_targets, None, fit_named("squared"), description or {}
    )


def _test_set(
    inputs: np.ndarray, test: tuple[ArrayLike, ArrayLike] | None, read: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray | None, np.ndarray | None]:
    if test is None:
        return None, None
    found, labels = as_inputs("X_test", test[0]), np.asarray(test[1])
    check_pairs("X_test", found, "y_test", labels)
    if found.shape[1:] != inputs.shape[1:]:
        raise InputError(f"X_test has examples of shape {found.shape[1:]}; those of X are {inputs.shape[1:]}.")
    return found, read(labels)


def labelled_view(task: Task) -> LabelledTask | None:
    """A task as labelled examples, where it is that, else None."""
    return task if isinstance(task, LabelledTask) else None
