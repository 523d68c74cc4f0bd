"""The JSON Schemas of what the commands print with ``--json``, as they ship with the package."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from bayesgc.validate import one_of

_FILES = {"result": "schema.json", "comparison": "comparison.schema.json", "diagnosis": "diagnosis.schema.json"}


def result_schema() -> dict[str, Any]:
    """The schema (JSON Schema, draft 2020-12) that every ``--json`` result obeys."""
    return schema("result")


def schema(name: str) -> dict[str, Any]:
    """The schema of a ``result``, a ``comparison`` or a ``diagnosis``."""
    file = _FILES[one_of("schema", name, _FILES)]
    found: dict[str, Any] = json.loads(files("bayesgc.analysis.tree").joinpath(file).read_text(encoding="utf-8"))
    return found
