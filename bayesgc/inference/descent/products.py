"""Products of small matrices for many starts, from fixed places in memory to others.

A step of descent is tens of small operations, each of which costs a microsecond to call, and so does each view. So
places and views are made once. Matrices are (start, row, col) to whoever uses them; in memory the starts come last
where that is faster, as in `bayesgc.models.factorization.products`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

Matrices = Float[Tensor, "start *layer _ _"]
Run = tuple[tuple[int, int], int]
"""A shape, and how many matrices of that shape follow each other."""

_TINY = 400
"""Multiplications in a product below which torch multiplies matrices on a CPU by a loop that is not vectorised."""
_WORTH = 3000
"""Multiplications for all starts above which that loop takes longer than two operations over starts that are last."""


def starts_belong_last(multiplications: int, starts: int, device: torch.device) -> bool:
    """Whether products of at most so many multiplications are faster where starts are last in memory."""
    return device.type == "cpu" and multiplications < _TINY and multiplications * starts > _WORTH


def starts_are_last(flat: Shaped[Tensor, "start *number"]) -> bool:
    """Whether starts are last in memory."""
    return flat.stride(0) == 1


def zeros(starts: int, numbers: int, like: Tensor, *, starts_last: bool) -> Float[Tensor, "start number"]:
    """Zeros on the device and in the dtype of ``like``."""
    return like.new_zeros(numbers, starts).T if starts_last else like.new_zeros(starts, numbers)


def stacks(flat: Float[Tensor, "start number"], runs: Sequence[Run]) -> list[Float[Tensor, "start layer _ _"]]:
    """Views of ``flat`` as matrices, in memory along their longer side, as MKL multiplies them fastest."""
    parts = flat.split([count * math.prod(shape) for shape, count in runs], 1)
    return [_stack(part, count, *shape) for part, (shape, count) in zip(parts, runs, strict=True)]


def _stack(part: Float[Tensor, "start number"], count: int, rows: int, cols: int) -> Float[Tensor, "start layer _ _"]:
    return part.unflatten(1, (count, rows, cols)) if rows <= cols else part.unflatten(1, (count, cols, rows)).mT


def matrices(
    flat: Float[Tensor, "start number"], shapes: Sequence[tuple[int, int]]
) -> list[Float[Tensor, "start _ _"]]:
    """The same for matrices one by one."""
    return [stack.flatten(0, 1) for stack in stacks(flat, [(shape, 1) for shape in shapes])]


class Products:
    """Products of matrices, which share the place of their terms, so that it stays in the cache.

    ``most`` terms at once are those of matrices whose starts are last in memory; None where they are first.
    """

    def __init__(self, most: int | None, like: Tensor) -> None:
        self._terms = None if most is None else like.new_empty(most)

    def into(self, out: Matrices, left: Matrices, right: Matrices) -> Callable[[], object]:
        """What puts the matrix product of each start into ``out`` whenever it is called."""
        # Not by the strides of ``out``: those of a single start's numbers are 1 either way.
        if self._terms is not None:
            return _summed(self._terms, out, left, right)
        out, left, right = (each.flatten(0, -3) for each in (out, left, right))
        if out.stride(-1) != 1:
            out, left, right = out.mT, right.mT, left.mT
        if out.is_contiguous() or left.shape[-1] * out[0].numel() < _TINY:
            return lambda: torch.bmm(left, right, out=out)
        # Into any other place torch would put larger products one start after the other.
        return lambda: out.copy_(torch.bmm(left, right))


def _summed(places: Tensor, out: Matrices, left: Matrices, right: Matrices) -> Callable[[], object]:
    """The same as sums of scalar products, vectorised over starts that are last in memory."""
    left, right = left.unsqueeze(-1), right.unsqueeze(-3)
    starts, *sizes = torch.broadcast_shapes(left.shape, right.shape)
    terms = places[: starts * math.prod(sizes)].view(*sizes, starts).movedim(-1, 0)

    def multiply() -> None:
        torch.mul(left, right, out=terms)
        torch.sum(terms, -2, out=out)

    return multiply
