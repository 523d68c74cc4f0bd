"""What is to be fitted and how it is judged, and where tasks come from.

Public names load on first use, all of them at once, as with them tasks and sets are registered: files of tables can be
looked at (`sheets`, `heading`) without waiting for torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesgc.task.public import *  # noqa: F403


def __getattr__(name: str) -> object:
    if name.startswith("__"):  # what Python and its tools ask of any module
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("bayesgc.task.public"), name)
