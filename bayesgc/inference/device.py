"""Devices and number types by the names a user gives."""

from __future__ import annotations

import torch

from bayesgc.validate import InputError, one_of

DTYPES = {"float32": torch.float32, "float64": torch.float64}


def device_named(name: str) -> torch.device:
    """``auto`` (a CUDA GPU where there is one), ``cpu``, ``cuda``, ``cuda:i`` or ``mps``.

    Raises:
        InputError: for an unknown name, or a device that this machine lacks, naming those it has.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name not in available_devices():
        raise InputError(f"device is {name!r}; this machine has {', '.join(['auto', *available_devices()])}.")
    return torch.device(name)


def available_devices() -> list[str]:
    """The names of this machine's devices."""
    cuda = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    return ["cpu", *(["cuda"] if cuda else []), *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def dtype_named(name: str, device: torch.device) -> torch.dtype:
    """``float32`` or ``float64``, which Apple's GPUs lack."""
    dtype = DTYPES[one_of("dtype", name, DTYPES)]
    if device.type == "mps" and dtype == torch.float64:
        raise InputError("dtype is 'float64'; the device mps has float32 only.")
    return dtype
