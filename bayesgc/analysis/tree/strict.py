"""JSON that every reader takes."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np


def to_json(value: Mapping[str, Any]) -> str:
    """``value`` as strict JSON: what is not finite becomes null, what JSON does not know its text."""
    return json.dumps(_strict(value), default=str, allow_nan=False)


def _strict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, np.generic):
        return _strict(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
