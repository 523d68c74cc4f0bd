"""Programs that mix numbers of several precisions: products of them, which torch refuses, promote as its sums do.

A program's constants have the precision in which its author made them, its sites that of the run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

Result = TypeVar("Result")

_OF_NUMBERS = frozenset({
    "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "mv", "dot", "vdot", "inner", "outer", "addmm", "addmv", "addr",
    "addbmm", "baddbmm", "einsum", "tensordot", "chain_matmul", "multi_dot", "linear", "bilinear", "conv1d", "conv2d",
    "conv3d", "normal",
})  # fmt: skip
"""Functions in which whole numbers are numbers too, and no indices."""


_WHOLE = ("Long", "Int", "Short", "Char", "Byte")
_ADVICE = "whole numbers stand where only floating-point ones can, as in parameters of a distribution; write .float()"


def promoting(program: Callable[[], Result]) -> Callable[[], Result]:
    """The program with mixed precisions allowed."""

    @functools.wraps(program, updated=())
    def promoted() -> Result:
        with _Promotion():
            return program()

    return promoted


class _Promotion(TorchFunctionMode):
    """Calls again, with all numbers in the widest of their types, what torch refuses for mixed ones."""

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        try:
            return func(*args, **kwargs)
        except (RuntimeError, NotImplementedError) as error:
            again = _promoted(getattr(func, "__name__", ""), args, kwargs)
            if again is None and any(f"for '{kind}'" in str(error) for kind in _WHOLE):
                raise TypeError(_ADVICE) from error
            if again is None:
                raise
            try:
                return func(*again[0], **again[1])
            except (RuntimeError, NotImplementedError):
                raise error from None


def _promoted(
    name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """The arguments of a call with their numbers in one type; None where they are, or must stay as they are."""
    if name == "__setitem__":
        holder, place, value = args
        differs = isinstance(value, Tensor) and value.dtype != holder.dtype
        return ((holder, place, value.to(holder.dtype)), kwargs) if differs else None
    if (name.endswith("_") and not name.endswith("__")) or "out" in kwargs:
        return None  # it writes into one of them
    whole = name.strip("_") in _OF_NUMBERS or name in _OF_NUMBERS
    types = {each.dtype for each in tree_leaves((args, kwargs)) if _is_number(each, whole)}
    if not any(each.is_floating_point for each in types) and not whole:
        return None
    widest = functools.reduce(torch.promote_types, types, torch.get_default_dtype() if whole else next(iter(types)))
    if types <= {widest}:
        return None
    found = tree_map(lambda each: each.to(widest) if _is_number(each, whole) else each, (args, kwargs))
    return found[0], found[1]


def _is_number(value: Any, whole: bool) -> bool:
    return isinstance(value, Tensor) and (value.is_floating_point() or (whole and not value.is_complex()))
