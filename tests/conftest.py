"""What all tests share: shapes and types checked at run time, few threads, the cases with known answers."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import shape_checks
import torch
from jaxtyping import install_import_hook

# Before anything imports bayesgc: every annotated function of these rooms then checks its arguments and its result.
# Not the commands: Typer hands them contexts that are no instances of the class they have to be annotated with.
ROOMS = ("task", "models", "inference", "analysis", "api", "settings", "experiments", "validate", "copies")
CHECKER = 'beartype.beartype(conf=__import__("beartype").BeartypeConf(is_pep484_tower=True))'
# The long proofs make millions of small calls: with BAYESGC_UNCHECKED in the environment they are spared the checks.
if "BAYESGC_UNCHECKED" not in os.environ:
    jaxtyping.jaxtyped = shape_checks.checked
    install_import_hook([f"bayesgc.{room}" for room in ROOMS], CHECKER)

# One thread a worker under pytest-xdist, so that workers do not fight for cores.
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else min(2, os.cpu_count() or 1))

CASES = Path(__file__).parent / "cases"


@dataclass(frozen=True)
class Case:
    """A task with its model and what is known of the answer, each with a standard error (``*_se``)."""

    name: str
    path: Path
    facts: dict[str, Any]


@pytest.fixture(scope="session")
def cases() -> dict[str, Case]:
    """The cases of ``tests/cases/cases.json`` by name; ``path`` is the file with A, y and truth."""
    table = json.loads((CASES / "cases.json").read_text(encoding="utf-8"))
    return {name: Case(name, CASES / f"{name}.npz", facts) for name, facts in table.items()}


@pytest.fixture
def unchecked():
    """Turns the run-time shape checks off, which cost long runs of small arrays most of their time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs an accelerator where there is none."""
    marked = [item for item in items if item.get_closest_marker("gpu")]
    if marked and not torch.accelerator.is_available():
        for item in marked:
            item.add_marker(pytest.mark.skip(reason="needs an accelerator"))
