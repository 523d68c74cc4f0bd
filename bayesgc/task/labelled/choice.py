"""Which of many labelled examples a task trains on, and which it tests on: chosen at random, by a seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int, Shaped

from bayesgc.task.labelled.labels import as_inputs, check_pairs, class_names, in_order
from bayesgc.validate import InputError, integer_in

MOST_TESTED = 800
"""Test examples that are taken where no number is given."""
_SHOWN = 12
# SeedSequence pads with zeros, so that a stream numbered 0 would be no stream of its own.
_TRAIN, _TEST = 2, 3


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and their labels, to choose from.

    ``classes`` are all there can be, in order, where the labels need not show every one of them.
    """

    inputs: Float[np.ndarray, "example *features"]
    labels: Shaped[np.ndarray, " example"]
    classes: tuple[str, ...] | None = None

    def at(self, places: Int[np.ndarray, " some"]) -> Examples:
        """Those at the given places."""
        return replace(self, inputs=self.inputs[places], labels=self.labels[places])

    def of(self, classes: Sequence[str]) -> Examples:
        """Those of the given classes."""
        kept = np.isin(class_names(self.labels), classes)
        known = None if self.classes is None else tuple(each for each in self.classes if each in classes)
        return replace(self, inputs=self.inputs[kept], labels=self.labels[kept], classes=known)


@dataclass(frozen=True)
class Choice:
    """What is asked for of a choice of examples.

    Args:
        train: training examples; None for all that are not tested on.
        test: test examples, or a share of those that there are, as 0.2 or ``"20%"``; None for what is left, at most
            `MOST_TESTED` of it.
        classes: names of the classes to keep, at least two; a sequence, or a text such as ``"0,7"``; None for all.
        balanced: as many training examples of each class.
        seed: of the choice. With the same seed, fewer training examples are among more, and so are test examples.
    """

    train: int | None = None
    test: int | float | str | None = None
    classes: Sequence[str | int] | str | None = None
    balanced: bool = False
    seed: int = 0

    @property
    def given(self) -> list[str]:
        """The names of what is asked for."""
        named = {"train": self.train, "test": self.test, "classes": self.classes, "balanced": self.balanced or None}
        return [name for name, value in named.items() if value is not None]

    def applied(self, pool: Examples, tests: Examples | None, *, numbers: bool) -> tuple[Examples, Examples]:
        """The training and the test examples, from one pool, or from ``tests`` where these stand apart.

        ``numbers`` says that labels are numbers, of which there are no classes.

        Raises:
            InputError: for a choice that cannot be made, in one line that says what can.
        """
        if numbers and (self.classes is not None or self.balanced):
            name = "classes" if self.classes is not None else "balanced"
            raise InputError(f"{name} is for labels that are classes; these are numbers, a regression.")
        if self.classes is not None:
            kept = _named(self.classes, class_names(pool.labels), pool.classes)
            pool, tests = pool.of(kept), None if tests is None else tests.of(kept)
        if tests is None:
            train, test = self._split(pool)
        else:
            order = _drawn(self.seed, _TEST, tests)
            train, test = self._first(pool), tests.at(order[: self._tested(len(order))])
        if not numbers and pool.classes is None:
            self._check_classes(pool, train, test)
        return train, test

    def _split(self, pool: Examples) -> tuple[Examples, Examples]:
        """Training examples from the front of a random order, test examples from its end."""
        count, train = len(pool.labels), self.train
        if count < 2:
            raise InputError(f"there is {count} example; to train on some and test on others takes at least two.")
        if train is None:
            tested = min(MOST_TESTED, count // 5) if self.test is None else self._tested(count - 1, of=count)
            train = count - max(1, tested)
        chosen = self._chosen(pool, _count("train", train, count - 1, f"there are {count} examples, some to test on"))
        order = _drawn(self.seed, _TRAIN, pool)
        rest = order[~np.isin(order, chosen)]
        tested = min(MOST_TESTED, len(rest)) if self.test is None else self._tested(len(rest), of=count)
        return pool.at(chosen), pool.at(rest[len(rest) - tested :])

    def _first(self, pool: Examples) -> Examples:
        count = len(pool.labels)
        most = f"there are {count} training examples"
        return pool.at(self._chosen(pool, count if self.train is None else _count("train", self.train, count, most)))

    def _chosen(self, pool: Examples, count: int) -> Int[np.ndarray, " count"]:
        """The places of the training examples, in a random order."""
        order = _drawn(self.seed, _TRAIN, pool)
        if not self.balanced:
            return order[:count]
        names = class_names(pool.labels)
        classes = pool.classes or tuple(in_order(pool.labels))
        if count % len(classes):
            raise InputError(
                f"train is {count}; balanced over {len(classes)} classes it must be a multiple of {len(classes)}."
            )
        each = count // len(classes)
        for name in classes:
            if (there := int((names == name).sum())) < each:
                raise InputError(
                    f"train is {count}, balanced {each} of each class, and class {name} has {there}; train must be at "
                    f"most {there * len(classes)}."
                )
        # How many of its own class are before it in the order, itself included.
        earlier = np.zeros(len(order), dtype=np.int64)
        for name in classes:
            own = names[order] == name
            earlier[own] = np.arange(1, own.sum() + 1)
        return order[earlier <= each]

    def _tested(self, most: int, of: int | None = None) -> int:
        """How many to test on, out of at most ``most``; a share is of ``of`` examples."""
        if self.test is None:
            return most
        number = _number_or_share(self.test)
        if isinstance(number, float):
            number = max(1, round(number * (most if of is None else of)))
        return _count("test", number, most, f"there are {most} examples to test on")

    def _check_classes(self, pool: Examples, train: Examples, test: Examples) -> None:
        for kind, part in (("training", train), ("test", test)):
            there = set(class_names(part.labels))
            for name in in_order(pool.labels):
                if name not in there:
                    remedy = "more of them or another seed" if kind == "test" or self.balanced else _REMEDY
                    raise InputError(
                        f"class {name} is absent from the {kind} set that seed {self.seed} chooses, of size "
                        f"{len(part.labels)}; take {remedy}."
                    )


_REMEDY = "more of them, balanced ones, fewer classes, or another seed"


def _count(name: str, value: object, most: int, why: str) -> int:
    """``value`` as a number of examples, at most ``most``, since ``why``."""
    try:
        return integer_in(name, value, 1, most)
    except InputError as error:
        raise InputError(f"{str(error).rstrip('.')}: {why}.") from None


def _drawn(seed: int, stream: int, pool: Examples) -> Int[np.ndarray, " example"]:
    sequence = np.random.SeedSequence([integer_in("seed", seed, 0), stream])
    return np.random.default_rng(sequence).permutation(len(pool.labels))


def _named(classes: object, names: Shaped[np.ndarray, " example"], known: Sequence[str] | None) -> list[str]:
    """The names in ``classes``, each of which there is."""
    listed = classes.split(",") if isinstance(classes, str) else classes
    if not isinstance(listed, Sequence):
        raise InputError(f"classes is {classes!r}; it must be a sequence of names, or a text such as '0,7'.")
    found = [str(each).strip() for each in listed]
    there = list(known or dict.fromkeys(names[np.argsort(names, kind="stable")]))
    for name in found:
        if name not in there:
            more = ", …" if len(there) > _SHOWN else ""
            raise InputError(f"classes names {name!r}, which is none of {', '.join(there[:_SHOWN])}{more}.")
    if len(set(found)) < max(2, len(found)):
        why = "names one class" if len(set(found)) == len(found) else "names a class twice"
        raise InputError(f"classes is {classes!r}, which {why}; name two or more, each once, such as 0,7.")
    return found


def _number_or_share(value: object) -> int | float:
    """A whole number as an int, a share as a float between 0 and 1."""
    number: object = value
    if isinstance(value, str):
        text = value.strip()
        try:
            number = float(text.removesuffix("%")) / 100 if text.endswith("%") else float(text)
            number = int(text) if text.isascii() and text.isdigit() else number
        except ValueError:
            number = None
    if isinstance(number, float) and 0 < number < 1:
        return number
    if not isinstance(number, bool) and hasattr(number, "__index__"):
        return int(number)
    raise InputError(f"test is {value!r}; it must be a whole number at least 1, or a share such as 0.2 or 20%.")


def pool_of(inputs: object, labels: object, names: tuple[str, str]) -> Examples:
    """Arrays as examples to choose from.

    Raises:
        InputError: for inputs that are no finite numbers, or without one label for each.
    """
    numbers, found = as_inputs(names[0], inputs), np.asarray(labels)  # type: ignore[arg-type]
    check_pairs(names[0], numbers, names[1], found)
    return Examples(numbers, found)
