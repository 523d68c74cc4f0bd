"""The model given the fit as a plain Pyro program with a smooth density, for any algorithm of ``pyro.infer``.

The last layer is integrated out: given the hidden layers the measurements are Gaussian, and y is observed under that
law. At ε > 0 the residual is a latent of its own, uniform in the ball, so that the hard threshold L_train < ε needs no
indicator.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyro
import pyro.distributions as dist
import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import constraints

from bayesgc.inference.collapsed.criterion import (
    condition_last_layer,
    residual_in_ball,
    system_given,
)
from bayesgc.inference.collapsed.singular import why_no_density
from bayesgc.inference.curve import log_ball
from bayesgc.models import Model, factorised
from bayesgc.models.factorization.collapse import Collapsed, collapse, why_not_collapsible
from bayesgc.models.factorization.products import row_product
from bayesgc.models.layout import Program
from bayesgc.task import ArrayTask
from bayesgc.validate import InputError


def conditioned_program(model: Model, task: ArrayTask, *, eps: float, complete: bool = False) -> Program:
    """A Pyro program without arguments whose posterior is the model given L_train < ε, or L_train = 0 at ε = 0.

    Sites, in double precision: the hidden layers (``W1`` … ``W{d−1}`` of a matrix) under the model's prior; ``scales``
    where the last layer is a mixture of Gaussians, standard normals that its scales are functions of; at ε > 0
    ``residual``, n + 2 standard normals that place the residual in the ball; ``y``, observed. The evidence of the
    program is that of the fit: log P(L_train < ε), or the log density of y at ε = 0. Deterministic: ``mean``,
    E[W | hidden layers, fit].

    With ``complete`` there are also ``free``, standard normals independent of all the others, and deterministic
    last layer (``W{d}``) and ``end_to_end``: exact draws given the hidden layers and the fit. Sample the hidden layers
    from the program without, then hand them to ``pyro.infer.Predictive`` of the program with ``complete``.

    The program returns ``end_to_end`` if there is one, else ``mean``. Leading batch dimensions pass through it.

    Raises:
        InputError: where the model given the fit has no such density.
    """
    reason = why_not_collapsible(model, task.shape)
    layered = factorised(model)
    if reason is not None or layered is None:
        raise InputError(
            f"conditioned needs a density of the fit given the hidden layers, and here is none: {reason}. "
            "The event L_train < eps itself has no gradient: condition on it with `method=splitting` or rejection."
        )
    with _double_precision():
        collapsed = collapse(model, task.shape, weights=True)
        laws = layered.laws(task.shape)
    if collapsed is None:
        raise TypeError("a collapsible model has no collapsed form")
    if reason := why_no_density(task, collapsed, eps):
        raise InputError(f"conditioned cannot condition here: {reason}; use splitting at some eps > 0.")
    return _Conditioned(task, collapsed, eps, laws, complete)


class MeasurementLaw(dist.TorchDistribution):
    """The law N(0, S) of the measurements of W = Z F, Z standard normal; −∞ where S is singular.

    Args:
        task: what is measured, n values.
        features: F of each draw, (*batch, feature, col); S follows from K = FᵀF.
        per_row: each row of W has an F of its own, (*batch, row, feature, col).
    """

    arg_constraints: ClassVar[dict[str, constraints.Constraint]] = {}
    support = constraints.real_vector

    def __init__(
        self, task: ArrayTask, features: Float[Tensor, "*batch feature col"], *, per_row: bool = False
    ) -> None:
        self.task, self.features, self._axes = task, features, 3 if per_row else 2
        super().__init__(features.shape[: -self._axes], (task.measurements.count,), validate_args=False)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> MeasurementLaw:
        """The same for a larger batch."""
        return MeasurementLaw(self.task, self._for(batch_shape), per_row=self._axes == 3)

    def log_prob(self, value: Float[Tensor, "*batch n"]) -> Float[Tensor, "*batch"]:
        """log N(value; 0, S)."""
        batch = torch.broadcast_shapes(self.batch_shape, value.shape[:-1])
        density = system_given(self.task, _draws_last(self._for(batch), self._axes)).log_density(
            value.expand(*batch, -1).reshape(-1, *self.event_shape)
        )
        return density.reshape(batch)

    def sample(self, sample_shape: torch.Size = torch.Size()) -> Float[Tensor, "*batch n"]:  # noqa: B008
        """Measurements of draws from the prior."""
        shape = self._extended_shape(sample_shape)
        features = _draws_last(self._for(shape[:-1]), self._axes)
        free = torch.randn(
            self.task.unfolding[0], features.shape[-3], features.shape[-1], dtype=features.dtype, device=features.device
        )
        return self.task.measurements.apply(row_product(free, features).flatten(0, 1)).T.reshape(shape)

    def _for(self, batch: Sequence[int]) -> Float[Tensor, "*batch feature col"]:
        """The features for a larger batch."""
        return self.features.expand(*batch, *self.features.shape[-self._axes :])


@dataclass(frozen=True)
class _Conditioned:
    """The program; see `conditioned_program`."""

    task: ArrayTask
    collapsed: Collapsed
    eps: float
    laws: dict[str, dist.Distribution]
    complete: bool

    def __call__(self) -> Tensor:
        """One run of the program."""
        hidden = [pyro.sample(name, law).double() for name, law in list(self.laws.items())[:-1]]
        scales, residual, free = self._scales(), self._residual(), self._free()
        present = [each.shape[:-1] for each in (scales, residual) if each is not None]
        present += [each.shape[:-2] for each in [*hidden, free] if each is not None]
        batch = torch.broadcast_shapes(*present) if present else torch.Size()
        scales = _draws_last(scales.expand(*batch, -1), 1)
        features = self.collapsed.features_of([_draws_last(each.expand(*batch, -1, -1)) for each in hidden], scales)
        values = self._values(residual, batch)
        each = features.movedim(-1, 0).reshape(*batch, *features.shape[:-1])
        law = MeasurementLaw(self.task, each, per_row=self.collapsed.per_row)
        pyro.sample("y", law, obs=values.reshape(*batch, -1))
        mean = self._array("mean", system_given(self.task, features).mean(values), batch)
        return mean if free is None else self._end_to_end(features, scales, free, values)

    def _scales(self) -> Float[Tensor, "*batch latent"]:
        size = self.collapsed.scales.size
        return pyro.sample("scales", _standard_normal((size,))) if size else torch.zeros(0, dtype=torch.float64)

    def _residual(self) -> Float[Tensor, "*batch latent"] | None:
        if self.eps == 0:
            return None
        size = self.task.measurements.count + 2
        # The density of y + u, averaged over the ball and times its volume, is P(L_train < ε).
        ball = log_ball(self.task.measurements.count, self.eps)
        pyro.factor("ball", torch.tensor(ball, dtype=torch.float64))
        return pyro.sample("residual", _standard_normal((size,)))

    def _free(self) -> Float[Tensor, "*batch row feature"] | None:
        if not self.complete:
            return None
        return pyro.sample("free", _standard_normal((self.task.unfolding[0], self.collapsed.feature_count)))

    def _values(self, residual: Tensor | None, batch: torch.Size) -> Float[Tensor, "draw n"]:
        y = torch.as_tensor(self.task.targets, dtype=torch.float64).expand(math.prod(batch), -1)
        if residual is None:
            return y
        return y + residual_in_ball(residual.expand(*batch, -1).reshape(-1, residual.shape[-1]).T, self.eps)

    def _end_to_end(self, features: Tensor, scales: Tensor, free: Tensor, values: Tensor) -> Float[Tensor, "*array"]:
        batch = free.shape[:-2]
        system = system_given(self.task, features)
        vectors, last = condition_last_layer(self.task, features, _draws_last(free), values, system)
        weights = self.collapsed.last_layer(scales, last).movedim(-1, 0).reshape(free.shape)
        pyro.deterministic(list(self.laws)[-1], weights, event_dim=2)
        return self._array("end_to_end", vectors.T, batch)

    def _array(self, name: str, values: Float[Tensor, "draw *entry"], batch: torch.Size) -> Float[Tensor, "*array"]:
        shape = self.task.shape
        array: Tensor = pyro.deterministic(name, values.reshape(*batch, *shape), event_dim=len(shape))
        return array


def _standard_normal(shape: tuple[int, ...]) -> dist.Distribution:
    return dist.Normal(torch.zeros(shape, dtype=torch.float64), 1.0).to_event(len(shape))


def _draws_last(values: Float[Tensor, "*batch"], axes: int = 2) -> Float[Tensor, "*axis draw"]:
    """The batch of arrays with that many axes as one last axis."""
    return values.reshape(math.prod(values.shape[: values.ndim - axes]), *values.shape[-axes:]).movedim(0, -1)


@contextlib.contextmanager
def _double_precision() -> Iterator[None]:
    """Distributions take the precision of their parameters, and those of plain numbers torch's default one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
