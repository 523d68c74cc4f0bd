"""The commands that read saved results."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from bayesgc.analysis.tree.schema import schema

Command = Callable[..., Any]
QUICK = ("--method", "rejection", "--no-gd", "--no-map", "--draws", 50, "--quiet")


@pytest.fixture
def saved(command: Command) -> list[str]:
    """Two results with volumes large enough for rejection."""
    for depth in (2, 3):
        ended = command("infer", "--depth", depth, "--eps", 0.03, *QUICK, "--out", f"{depth}.nc")
        assert ended.code == 0
    return ["2.nc", "3.nc"]


def test_compare_prints_tables_or_one_object(command: Command, saved: list[str]) -> None:
    text = command("compare", *saved)
    assert (text.code, text.err) == (0, "")
    assert "depth 3" in text.out
    found = json.loads(command("compare", *saved, "--json").out)
    Draft202012Validator(schema("comparison")).validate(found)
    assert [each["label"] for each in found["results"]] == ["depth 2", "depth 3"]


def test_diagnose_says_fine_or_exits_with_three(command: Command, saved: list[str]) -> None:
    assert command("diagnose", saved[0]).code == 0
    command("infer", "--max-evaluations", 5000, *QUICK, "--out", "few.nc")
    ended = command("diagnose", "few.nc", "--json")
    found = json.loads(ended.out)
    Draft202012Validator(schema("diagnosis")).validate(found)
    assert (ended.code, found["healthy"]) == (3, False)


@pytest.mark.parametrize("verb", ["show", "compare", "diagnose"])
def test_files_that_are_no_results_are_named(command: Command, saved: list[str], verb: str) -> None:
    whole = Path(saved[0]).read_bytes()
    Path("cut.nc").write_bytes(whole[: len(whole) // 2])
    Path("text.nc").write_text("not netCDF", encoding="utf-8")
    for name, words in {"cut.nc": "cut short", "text.nc": "another format", "no.nc": "is not a file"}.items():
        ended = command(verb, name)
        assert (ended.code, ended.out) == (2, "")
        assert name in ended.err
        assert words in ended.err
