"""Convolutions with weights of their own for every draw, and pooling: what torch does slowly on a CPU under ``vmap``.

There a convolution of many draws becomes one in groups, and ``max_pool2d`` looks for places as well. Products of
matrices and maxima of slices take less time.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


class ManyConvolutions(TorchFunctionMode):
    """While it is entered, two-dimensional convolutions and maxima under ``vmap`` take the faster way where they can.

    Without gradients: the faster way has none.
    """

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        faster = _FASTER.get(func)
        found = None if faster is None else faster(*args, **kwargs)
        return func(*args, **kwargs) if found is None else found


def _convolved(
    value: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    """What ``conv2d`` gives; None for strides, dilations, groups and paddings by name."""
    plain = _pair(stride) == _pair(dilation) == (1, 1) and groups == 1 and not isinstance(padding, str)
    if not plain or value.ndim != 4:
        return None
    rows, cols = _pair(padding)
    found: Tensor = _Convolution.apply(
        functional.pad(value, (cols, cols, rows, rows)) if rows or cols else value, weight
    )
    return found if bias is None else found + bias[:, None, None]


class _Convolution(torch.autograd.Function):
    """A convolution that says itself how it is mapped over draws."""

    @staticmethod
    def forward(value: Tensor, weight: Tensor) -> Tensor:
        return torch.conv2d(value, weight)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        """Nothing is kept, as there are no gradients."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[int | None, int | None], value: Tensor, weight: Tensor) -> tuple[Tensor, int]:
        """The convolutions of all draws."""
        of_value, of_weight = in_dims
        if of_weight is None:
            return torch.stack([torch.conv2d(each, weight) for each in value.unbind(of_value or 0)]), 0
        weight = weight.movedim(of_weight, 0)
        if of_value is None:
            return _of_shared(value, weight), 0
        return _of_own(value.movedim(of_value, 0), weight), 0


def _of_shared(
    value: Float[Tensor, "example inner height width"], weight: Float[Tensor, "draw outer inner tall wide"]
) -> Float[Tensor, "draw example outer row col"]:
    """All draws in one product with the windows of images that they share."""
    count, _, height, width = value.shape
    tall, wide = weight.shape[3:]
    size = (height - tall + 1, width - wide + 1)
    windows = functional.unfold(value, (tall, wide)).unflatten(2, size).permute(1, 2, 0, 3)
    found = weight.flatten(2) @ windows.flatten(1)
    return found.unflatten(2, (size[0], count, size[1])).permute(0, 3, 1, 2, 4)


def _of_own(
    value: Float[Tensor, "draw example inner height width"], weight: Float[Tensor, "draw outer inner tall wide"]
) -> Float[Tensor, "draw example outer row col"]:
    """A batched product for each row of the kernel, with windows one row high, so that little is copied."""
    draws, count, inner, height, width = value.shape
    tall, wide = weight.shape[3:]
    size = (height - tall + 1, width - wide + 1)
    windows = value.unfold(4, wide, 1).permute(0, 2, 5, 3, 1, 4).reshape(draws, inner * wide, height, -1)
    found = torch.bmm(weight[:, :, :, 0].flatten(2), windows[:, :, : size[0]].flatten(2))
    for row in range(1, tall):
        found.baddbmm_(weight[:, :, :, row].flatten(2), windows[:, :, row : row + size[0]].flatten(2))
    return found.unflatten(2, (size[0], count, size[1])).permute(0, 3, 1, 2, 4)


def _pooled(
    value: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | None:
    """What ``max_pool2d`` gives; None where windows overlap or go over the edge, or where places are asked for."""
    size = _pair(kernel_size)
    if ceil_mode or return_indices or _pair(padding) != (0, 0) or _pair(dilation) != (1, 1):
        return None
    if stride not in (None, []) and _pair(stride) != size:
        return None
    (tall, wide), (height, width) = size, value.shape[-2:]
    if height < tall or width < wide:
        return None
    value = functools.reduce(torch.maximum, [value[..., i : height // tall * tall : tall, :] for i in range(tall)])
    return functools.reduce(torch.maximum, [value[..., i : width // wide * wide : wide] for i in range(wide)])


def _pair(value: Any) -> tuple[int, int]:
    sizes = [value] if isinstance(value, int) else list(value)
    return (sizes[0], sizes[-1])


_FASTER = {torch.conv2d: _convolved, functional.max_pool2d: _pooled}
