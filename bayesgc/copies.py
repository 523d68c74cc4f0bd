"""Constant arrays on whatever device they are met."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class DeviceCopies:
    """An array together with its copies as tensors, one for each device and dtype it was asked for on."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self._copies: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def like(self, vectors: Tensor) -> Tensor:
        """The array on the device of ``vectors``; a floating-point array takes their dtype, indices stay int64."""
        dtype = vectors.dtype if self.array.dtype.kind == "f" else torch.int64
        key = (vectors.device, dtype)
        if key not in self._copies:
            # The precision first: not every device knows float64.
            self._copies[key] = torch.tensor(self.array, dtype=dtype, device="cpu").to(vectors.device)
        return self._copies[key]

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies belong to this process: another one may lack the device, and makes its own.
        return DeviceCopies, (self.array,)
