"""Inputs and labels as arrays of numbers: what is refused, and how labels become classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, Shaped
from numpy.typing import ArrayLike

from bayesgc.validate import InputError, real_array

_MOST_CLASSES = 1000
_SHOWN = 5


def as_inputs(name: str, values: ArrayLike) -> Float[np.ndarray, "example *features"]:
    """Finite numbers, one example a row.

    Raises:
        InputError: for what is not, with the place of the first fault.
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InputError(f"{name} is no array: its examples are of unequal size.") from error
    if array.ndim < 2 or array.size == 0:
        raise InputError(f"{name} has shape {array.shape}; it must be (examples, features) or (examples, *image).")
    return real_array(name, array)


def check_pairs(inputs_name: str, inputs: np.ndarray, labels_name: str, labels: Shaped[np.ndarray, "*shape"]) -> None:
    """Raise unless there is one label for each input.

    Raises:
        InputError: where there is not.
    """
    if labels.shape != (len(inputs),):
        raise InputError(
            f"{labels_name} has shape {labels.shape}; it must be ({len(inputs)},), one label for each example in "
            f"{inputs_name}."
        )


def class_names(labels: Shaped[np.ndarray, " example"]) -> Shaped[np.ndarray, " example"]:
    """The name of each label's class, as text.

    Raises:
        InputError: for labels that are no classes.
    """
    return np.array([str(each) for each in _whole(labels)], dtype=np.str_)


def in_order(labels: Shaped[np.ndarray, " example"]) -> list[str]:
    """The names of the classes among labels: numbers by size, text by the alphabet.

    Raises:
        InputError: for labels that are no classes.
    """
    labels = _whole(labels)
    return sorted({str(each) for each in labels}) if labels.dtype.kind in "USO" else [str(x) for x in np.unique(labels)]


def _whole(labels: Shaped[np.ndarray, " example"]) -> Shaped[np.ndarray, " example"]:
    """Labels that can be classes, whole numbers as such."""
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            place = int(np.flatnonzero(~np.isfinite(labels))[0])
            raise InputError(f"the label of example {place} is {labels[place]}; every example needs one.")
        if (labels != np.round(labels)).any():
            raise InputError(
                "the labels are numbers with fractions; classes are whole numbers or text. Is it a regression?"
            )
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iubUSO":
        raise InputError(f"the labels are of type {labels.dtype}; classes are whole numbers or text.")
    return labels


def as_classes(
    labels: Shaped[np.ndarray, " example"], known: Sequence[str] | None = None, *, test: bool = False
) -> tuple[tuple[str, ...], Int[np.ndarray, " example"]]:
    """The names of the classes in sorted order, and the number of each label's class.

    ``known`` are all classes there are, where that is known beforehand: for ``test`` labels, those of the training
    labels.

    Raises:
        InputError: for labels that are no classes, fewer than two classes, or one that is not among ``known``.
    """
    found = in_order(labels)
    if known is None:
        if len(found) < 2:
            raise InputError(f"every label is {found[0]!r}; there must be at least two classes.")
        if len(found) > _MOST_CLASSES:
            raise InputError(f"there are {len(found)} classes among {len(labels)} labels; is it a regression?")
        known = found
    if strange := [each for each in found if each not in known]:
        shown = ", ".join(strange[:_SHOWN])
        where = "in the test labels and not in the training labels, so it cannot be learnt"
        raise InputError(f"class {shown} is {where if test else 'none of ' + ', '.join(known[:_SHOWN])}.")
    places = {name: place for place, name in enumerate(known)}
    return tuple(known), np.array([places[each] for each in class_names(labels)], dtype=np.int64)
