"""Laws on the device of the normals they meet: priors are made on the CPU, and their tensors follow once."""

from __future__ import annotations

import contextlib
import copy
import weakref
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from bayesgc.models.transports.registry import Law, Push, innermost

_CPU = torch.device("cpu")
_MOVED: weakref.WeakKeyDictionary[Law, dict[torch.device, Law]] = weakref.WeakKeyDictionary()
_ORIGIN = "_bayesgc_origin"


def exact_device(device: torch.device) -> torch.device:
    """Where to compute in double precision: on the device, but for Apple's GPUs, which have none, on the CPU."""
    return _CPU if device.type == "mps" else device


def work_device(law: Law, device: torch.device) -> torch.device:
    """Where to make draws of a law for a device.

    Apple's GPUs lack the special functions of most transports beside double precision, so they make normals alone.
    """
    return device if isinstance(innermost(law), torch.distributions.Normal) else exact_device(device)


def push_beside(push: Push, law: Law, z: Tensor) -> Tensor:
    """``push(law, z)`` for the map or the scales of a transport, wherever the law's own tensors are."""
    if z.device == _CPU:
        return push(law, z)
    there = work_device(law, z.device)
    value = push(law_on(law, there), z.to(there))
    if there == z.device:
        return value
    return value.to(z) if value.is_floating_point() else value.to(z.device)


def sample_for(law: Law, shape: Sequence[int], device: torch.device) -> Tensor:
    """Draws by a law's own sampling, which are made on the CPU whatever the device: from its generator alone."""
    if device == _CPU:
        return law.sample(torch.Size(shape))
    with _CPU:
        return law_on(law, _CPU).sample(torch.Size(shape)).to(device)


def support_beside(law: Law, value: Tensor) -> Any:
    """The support of a law, with bounds on the device of a value."""
    return law.support if value.device == _CPU else law_on(law, value.device).support


def making_on(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Let a program make its own constants on a device."""
    return contextlib.nullcontext() if device == _CPU else device


def law_on(law: Law, device: torch.device) -> Law:
    """The law with all its tensors on a device; moved once, and kept as long as the law itself is."""
    held = _MOVED.setdefault(law, {})
    if device not in held:
        held[device] = _moved(law, device, {})
    return held[device]


def at_home(law: Law) -> Law:
    """The law that `law_on` moved, or one that it did not: a number is read off it without waiting for a device."""
    origin = vars(law).get(_ORIGIN)
    return law if origin is None else origin()


def _moved(part: Any, device: torch.device, done: dict[int, Any]) -> Any:
    """A distribution, or a part of one, with all its tensors on a device; ``done`` holds the parts moved before."""
    if isinstance(part, Tensor):
        exact = device.type == "mps" and part.dtype == torch.float64
        return each_once(part.float() if exact else part).to(device).expand(part.shape)
    if isinstance(part, torch.nn.Module):
        return copy.deepcopy(part).to(device)
    if type(part) in (list, tuple):
        return type(part)(_moved(each, device, done) for each in part)
    if not isinstance(part, torch.distributions.Distribution | torch.distributions.Transform):
        return part
    # A transform and its inverse hold each other.
    if id(part) not in done:
        result = done[id(part)] = copy.copy(part)
        vars(result).update({name: _moved(value, device, done) for name, value in vars(part).items()})
        vars(result)[_ORIGIN] = weakref.ref(part)
    return done[id(part)]


def each_once(values: Tensor) -> Tensor:
    """The entries of a tensor without the copies that ``expand`` made of them, which may be beyond any memory."""
    return values[tuple(slice(1) if stride == 0 else slice(None) for stride in values.stride())]
