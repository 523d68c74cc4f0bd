"""The JSON Schema of the result object, as it ships with the package."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any


def result_schema() -> dict[str, Any]:
    """The schema (JSON Schema, draft 2020-12) that every ``--json`` result obeys."""
    schema: dict[str, Any] = json.loads(files("bayesgc.analysis").joinpath("schema.json").read_text(encoding="utf-8"))
    return schema
