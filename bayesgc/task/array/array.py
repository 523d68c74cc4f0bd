"""An array seen through linear measurements, which a model is to fit and to complete."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from bayesgc.copies import DeviceCopies
from bayesgc.task.array.measurements import DenseMeasurements, Measurements, ObservedCells
from bayesgc.task.array.spectra import spectra
from bayesgc.task.asked import threshold_in
from bayesgc.task.task import Reference, Task, Variables
from bayesgc.validate import InputError, check_range, one_of, real_array

DEFAULT_EPS = 0.0035
"""The threshold of the paper's depth experiment."""
MATRIX_LIMIT = 4_000_000
"""A measurement matrix of more entries than this (32 MB) is not kept in results."""
KINDS = ("sensing", "completion", "data")


def dimension_names(order: int) -> tuple[str, ...]:
    """Names for the axes of an array without names of its own: row and col, or mode1, mode2 and so on."""
    return ("row", "col") if order == 2 else tuple(f"mode{axis}" for axis in range(1, order + 1))


@dataclass(frozen=True, eq=False)
class Units:
    """The map from the task's scale back to the units of the data; both parts broadcast against ``shape``."""

    center: Float[np.ndarray, "*part"]
    scale: Float[np.ndarray, "*part"]

    @property
    def keep_single_precision(self) -> bool:
        """Whether draws in single precision are as good in these units as they were.

        Numbers are rounded by at most 6e-8 of themselves: within seven scales of the centre by at most about 1e-6 of a
        scale, and further out by at most some two and a half times what the draws themselves were.
        """
        within = (np.abs(self.center) <= 10 * self.scale) & (self.scale > 1e-30) & (self.scale < 1e30)
        return bool(within.all())

    def to_units(self, array: Float[np.ndarray, "*array"]) -> Float[np.ndarray, "*array"]:
        """Arrays (..., *shape) on the task's scale, in the units of the data."""
        return np.asarray(array * self.scale + self.center)

    def from_units(self, array: Float[np.ndarray, "*array"]) -> Float[np.ndarray, "*array"]:
        """The inverse of :meth:`to_units`."""
        return np.asarray((array - self.center) / self.scale)


@dataclass(frozen=True, eq=False, repr=False)
class ArrayTask(Task):
    """What is to be fitted: n measurements A_i of an array W* of ``shape``, and their values, the targets y_i.

    The training loss of W is (1/n) Σ (<A_i, W> - y_i)². The generalisation loss is (1/|B|) Σ <B_j, W - W*>², where
    the B_j are an orthonormal basis of the orthogonal complement of the measurements (Alexander et al. 2025).
    It is None where the truth W* is unknown, and where the measurements leave nothing held out.

    ``description`` says where the task came from (rank and seed, or the name of a file); ``dims`` names the axes,
    ``coords`` labels them where there are labels, and ``units`` leads back from a standardised table to its own units,
    where the targets are ``originals``, to the last digit.
    ``noisy`` says that the targets were measured: without a threshold of their own they suggest one.
    """

    kind: str
    shape: tuple[int, ...]
    measurements: Measurements
    targets: Float[np.ndarray, " n"]
    truth: Float[np.ndarray, "*shape"] | None = None
    description: dict[str, int | float | str] = field(default_factory=dict)
    dims: tuple[str, ...] = ("row", "col")
    coords: dict[str, list[str]] = field(default_factory=dict)
    units: Units | None = None
    originals: Float[np.ndarray, " n"] | None = None
    noisy: bool = False
    primary: ClassVar[str] = "gen_loss"  # type: ignore[misc]
    fit: ClassVar[str] = "train_loss"  # type: ignore[misc]
    output: ClassVar[str] = "end_to_end"
    scored: ClassVar[str] = "the training loss"  # type: ignore[misc]
    measured: ClassVar[dict[str, tuple[str, ...]]] = {
        "singular_value": ("component",),
        "mode_singular_value": ("mode", "component"),
    }

    def __post_init__(self) -> None:
        one_of("kind", self.kind, KINDS)
        object.__setattr__(self, "targets", real_array("y", self.targets))
        if self.truth is not None:
            object.__setattr__(self, "truth", real_array("truth", self.truth))
        if self.measurements.count == 0:
            raise InputError("There is no measurement; there must be one at least.")
        if self.measurements.shape != self.shape:
            raise InputError(f"The measurements are of shape {self.measurements.shape}; the task's is {self.shape}.")
        if self.targets.size != self.measurements.count:
            raise InputError(f"There are {self.targets.size} targets for {self.measurements.count} measurements.")
        if self.targets.ndim != 1:
            raise InputError(f"y has shape {self.targets.shape}; it must be ({self.measurements.count},).")
        if self.truth is not None and self.truth.shape != self.shape:
            raise InputError(f"The truth is of shape {self.truth.shape}; the task's is {self.shape}.")
        if len(self.dims) != len(self.shape):
            raise InputError(f"dims is {self.dims}; it must name the {len(self.shape)} axes of the task.")

    @property
    def domain(self) -> tuple[int, ...]:
        """The shape: all that a model must know."""
        return self.shape

    @property
    def facts(self) -> dict[str, object]:
        """Where the task came from, its kind, shape and number of measurements."""
        own = {"kind": self.kind, "shape": list(self.shape), "measurements": self.measurements.count}
        return {**self.description, **own}

    @property
    def size_in_words(self) -> str:
        """The sides, the measurements, and the cells that are missing where measurements are cells."""
        count = self.measurements.count
        holes = math.prod(self.shape) - count
        missing = f", {holes} cell{'' if holes == 1 else 's'} missing" if self.observed_cells else ""
        return f"{super().size_in_words}, {count} measurement{'' if count == 1 else 's'}{missing}"

    def observed(self) -> Variables:
        """The targets."""
        return {"y": (("measurement",), self.targets)}

    def constants(self) -> Variables:
        """The measurements, as cells or a matrix that is not too large, and the units of a table."""
        found: Variables = {}
        if self.cells is not None:
            found["cells"] = (("measurement",), np.asarray(self.cells, dtype=np.int64))
        elif self.measurements.count * math.prod(self.shape) <= MATRIX_LIMIT:
            matrix = np.asarray(self.measurements.dense()).reshape(-1, *self.shape)
            found["A"] = (("measurement", *self.dims), matrix)
        if self.units is not None:
            for name in ("center", "scale"):
                part = np.asarray(getattr(self.units, name), dtype=np.float64)
                found[name] = (self.dims, np.broadcast_to(part, self.shape).copy())
        if self.originals is not None:
            found["originals"] = (("measurement",), np.asarray(self.originals, dtype=np.float64))
        return found

    def truth_known(self) -> Variables:
        """The truth in the units of the data."""
        return {} if self.truth is None else {self.output: (self.dims, self.in_units(self.truth))}

    def in_units(self, outputs: Float[np.ndarray, "*array"]) -> Float[np.ndarray, "*array"]:
        """Arrays (..., *shape) in the units of the data, in the precision that they have where that is enough."""
        if self.units is None:
            return outputs
        found = self.units.to_units(outputs.astype(np.float64))
        return found.astype(outputs.dtype) if self.units.keep_single_precision else found

    @property
    def tested(self) -> int:
        """The held-out directions."""
        return self.held_out.count

    @property
    def kept_numbers(self) -> int:
        """The array, its singular values and the other quantities."""
        return math.prod(self.shape) + min(self.shape) + 10

    @property
    def zero(self) -> dict[str, float]:
        """The losses of W = 0, where they exist and can be divided by."""
        losses = {"train_loss": self.zero_train_loss, "gen_loss": self.zero_gen_loss}
        return {name: float(loss) for name, loss in losses.items() if loss}

    def threshold(self, eps: float | str | None) -> float:
        """ε as a number; a percentage is of the zero predictor's training loss.

        Raises:
            InputError: for what is neither, or a share of zero.
        """
        value, relative = threshold_in(DEFAULT_EPS if eps is None else eps)
        return self.share_of_zero(value, eps) if relative else value

    def share_of_zero(self, share: float, eps: float | str | None) -> float:
        """A share of the zero predictor's training loss, which is asked for by ``eps``.

        Raises:
            InputError: where that loss is 0.
        """
        if self.zero_train_loss == 0:
            raise InputError(
                f"eps is {eps!r}, which needs data other than zero, and every target is 0; give a training loss "
                "above 0."
            )
        return share * self.zero_train_loss

    @property
    def judged(self) -> bool:
        """Whether the generalisation loss is known."""
        return self.held_out_targets is not None

    @property
    def unfolding(self) -> tuple[int, int]:
        """(rows, cols) of the array as a matrix: its first axis against all the others; ``shape`` itself for a matrix.

        Row-major vectors of the array and of the matrix are the same.
        """
        return self.shape[0], math.prod(self.shape[1:])

    @property
    def held_out(self) -> Measurements:
        """The basis B_j of what the measurements do not see; its ``count`` may be 0."""
        return self.measurements.complement

    @cached_property
    def held_out_targets(self) -> Float[np.ndarray, " held_out"] | None:
        """<B_j, W*>, or None where the truth is unknown or nothing is held out."""
        if self.truth is None or self.held_out.count == 0:
            return None
        return np.asarray(self.held_out.apply(torch.tensor(self.truth.reshape(-1, 1)))[:, 0])

    @property
    def scaled_alike(self) -> bool:
        """Whether one centre and scale serves all cells."""
        return self.units is not None and self.units.center.ndim == len(self.shape) and self.units.center.size == 1

    @property
    def observed_cells(self) -> bool:
        """Whether the measurements are single cells of the array."""
        return self.cells is not None

    @property
    def cells(self) -> Int[np.ndarray, " n"] | None:
        """Flat indices of the cells that were measured, in the order of the targets; None where they are no cells."""
        return self.measurements.cells if isinstance(self.measurements, ObservedCells) else None

    def check_single(self) -> None:
        """Refuse numbers whose squares single precision cannot hold; for double precision the task itself has looked.

        Raises:
            InputError: for such a number.
        """
        matrix = self.measurements.matrix if isinstance(self.measurements, DenseMeasurements) else None
        for name, numbers in {"y": self.targets, "truth": self.truth, "A": matrix}.items():
            if numbers is not None:
                largest = float(np.abs(numbers).max(initial=0.0))
                check_range(name, largest, 1e-15, 1e15, ", or compute in double precision (`dtype=float64`)")

    @property
    def unobserved_cells(self) -> Int[np.ndarray, " cell"] | None:
        """Flat indices of the cells that were not measured; None where the measurements are not single cells."""
        return self.held_out.cells if isinstance(self.held_out, ObservedCells) else None

    def residual(self, vectors: Float[Tensor, "entry draw"]) -> Float[Tensor, "n draw"]:
        """<A_i, W> - y_i of each draw."""
        return self.measurements.apply(vectors) - self._targets.like(vectors)

    def train_loss(self, vectors: Float[Tensor, "entry draw"]) -> Float[Tensor, " draw"]:
        """The training loss of each draw; not finite where the array is not, whichever of its entries were measured."""
        size = vectors.square().sum(0)
        return _mean_square(self.residual(vectors)) + (size - size)

    def gen_loss(self, vectors: Float[Tensor, "entry draw"]) -> Float[Tensor, " draw"] | None:
        """The generalisation loss of each draw, or None (see the class)."""
        if self._held_out_targets is None:
            return None
        return _mean_square(self.held_out.apply(vectors) - self._held_out_targets.like(vectors))

    def score(self, outputs: Float[Tensor, "entry draw"]) -> Float[Tensor, " draw"]:
        """The training loss."""
        return self.train_loss(outputs)

    def nats(self, high: float, low: float) -> float:
        """The volume below τ falls like τ^(n/2) where every loss is within reach."""
        return 0.5 * self.measurements.count * math.log(high / low)

    def generalisation(
        self, outputs: Float[Tensor, "entry draw"], held_out: Float[Tensor, "held_out draw"] | None = None
    ) -> Float[Tensor, " draw"] | None:
        """The generalisation loss."""
        return self.gen_loss(outputs)

    def measures(
        self,
        outputs: Float[Tensor, "entry draw"],
        held_out: Float[Tensor, "held_out draw"] | None = None,
        score: Float[Tensor, " draw"] | None = None,
    ) -> dict[str, Float[Tensor, "draw *rest"]]:
        """``train_loss``; ``gen_loss`` and ``error`` (‖W − W*‖²) where they are defined; and the `spectra`."""
        train_loss = self.train_loss(outputs) if score is None else score
        found = {"train_loss": train_loss, "gen_loss": self.gen_loss(outputs), "error": self.error(outputs)}
        known = {name: values for name, values in found.items() if values is not None}
        return known | spectra(outputs, self.shape)

    def replicated(
        self, outputs: Float[Tensor, "entry draw"], fit: Float[Tensor, " draw"], source: torch.Generator
    ) -> dict[str, Float[Tensor, "draw n"]]:
        """<A_i, W>, with Gaussian noise of the size of the draw's own residuals, as in `predict`."""
        fitted = self.measurements.apply(outputs)
        noise = torch.randn(fitted.shape, generator=source, dtype=fitted.dtype)
        return {"y": (fitted + fit.clamp(min=0).sqrt().to(fitted) * noise).T}

    def why_absent(self, *, normalize: bool) -> dict[str, str]:
        """Why there is no chance level, where there is none."""
        from bayesgc.task.array.references import why_no_chance

        return {"chance": why_no_chance(self, normalize=normalize)}

    def references(self, *, normalize: bool, stop: Callable[[], bool] = lambda: False) -> dict[str, Reference]:
        """Zero, least squares, minimum nuclear norm, and chance on the sphere (see `reference_points`)."""
        from bayesgc.task.array.references import reference_points  # which are functions of a task

        return reference_points(self, normalize=normalize, stop=stop)

    def error(self, vectors: Float[Tensor, "entry draw"]) -> Float[Tensor, " draw"] | None:
        """‖W - W*‖² of each draw, or None where the truth is unknown."""
        return None if self._truth is None else (vectors - self._truth.like(vectors)).square().sum(0)

    @cached_property
    def zero_train_loss(self) -> float:
        """The training loss of W = 0."""
        return float(np.mean(self.targets**2))

    @cached_property
    def zero_gen_loss(self) -> float | None:
        """The generalisation loss of W = 0, or None (see the class)."""
        return None if self.held_out_targets is None else float(np.mean(self.held_out_targets**2))

    @cached_property
    def _targets(self) -> DeviceCopies:
        return DeviceCopies(self.targets[:, None])

    @cached_property
    def _held_out_targets(self) -> DeviceCopies | None:
        return None if self.held_out_targets is None else DeviceCopies(self.held_out_targets[:, None])

    @cached_property
    def _truth(self) -> DeviceCopies | None:
        return None if self.truth is None else DeviceCopies(self.truth.reshape(-1, 1))


def _mean_square(residual: Float[Tensor, "n draw"]) -> Float[Tensor, " draw"]:
    # Squares of residuals, never differences of squares: a loss near 1e-6 keeps its digits in float32.
    return residual.square().mean(0)


def linear_view(task: Task) -> ArrayTask | None:
    """A task as linear measurements of an array under squared error, where it is that, else None.

    It is what collapsed methods, MAP, exact references and proofs of infeasibility ask for.
    """
    return task if isinstance(task, ArrayTask) else None
