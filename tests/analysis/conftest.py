"""What the tests of this folder share; and lets them import ``records_for_tests``, which importlib mode does not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small sweep."""
    from pages_for_tests import EVIL
    from stores_for_tests import write_store

    axes: dict[str, list[Any]] = {"activation": ["linear", "tanh"], "depth": [2, 3], "task_seed": [0, 1, 2]}
    told = {"question": "Does depth help?", "notes": ["Tiny problems & few draws.", EVIL]}
    return write_store(tmp_path_factory.mktemp("sweeps") / "store", axes, **told)
