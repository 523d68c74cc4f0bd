"""The labelled cases with known answers, from file to JSON, and what `--task` gives by itself."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

CASES = Path(__file__).parents[1] / "cases"
FACTS = json.loads((CASES / "net_cases.json").read_text(encoding="utf-8"))
# Combined standard errors: of a true answer each comparison fails with probability 5e-4, on a seed that is fixed.
LIMIT = 3.5
FAST = ("--no-gd", "--precision", 0.1, "--chains", 8, "--json")


def options(name: str, *more):
    facts = FACTS[name]
    width = ",".join(map(str, facts["width"]))
    described = [part for key in ("activation", "prior", "scaling") for part in (f"--{key}", facts[key])]
    bias = "--bias" if facts["bias"] else "--no-bias"
    return ["infer", "--data", CASES / f"{name}.npz", "--family", "mlp", "--width", width, bias, *described, *more]


def standard_errors(found, facts, name: str) -> float:
    value = found.get("mean", found.get("estimate"))
    return abs(value - facts[name]) / math.hypot(found["mcse"], facts[f"{name}_se"])


def disagreements(found, facts):
    one = next(each for each in found["curve"] if each["errors"] == 1)
    return {
        "log_volume": standard_errors(found["log_volume"], facts, "log_volume"),
        "log_volume_one_error": standard_errors(one["log_volume"], facts, "log_volume_one_error"),
        "test_error": standard_errors(found["posterior"]["test_error"], facts, "test_error"),
        "prior_test_error": standard_errors(found["prior"]["test_error"], facts, "prior_test_error"),
    }


@pytest.mark.parametrize("name", ["net-shared-1", pytest.param("net-shared-2", marks=pytest.mark.slow)])
def test_splitting_agrees(command, unchecked, name):
    ended = command(*options(name, *FAST, "--method", "splitting"))
    found, facts = ended.object, FACTS[name]
    assert (ended.code, found["outcome"]) == (0, "converged")
    assert (found["task"]["kind"], found["task"]["examples"]) == ("classification", facts["n"])
    differences = disagreements(found, facts)
    assert max(differences.values()) < LIMIT, differences
    # Negative control: at most one error is another event than none.
    one = next(each for each in found["curve"] if each["errors"] == 1)
    assert standard_errors(one["log_volume"], facts, "log_volume") > LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("eps", [0, 1])
def test_rejection_agrees(command, unchecked, eps):
    found = command(*options("net-shared-1", *FAST, "--method", "rejection", "--eps", eps)).object
    name = "log_volume_one_error" if eps else "log_volume"
    assert standard_errors(found["log_volume"], FACTS["net-shared-1"], name) < LIMIT


@pytest.mark.parametrize("name", FACTS)
def test_a_case_is_what_its_facts_say(name):
    with np.load(CASES / f"{name}.npz") as arrays:
        assert arrays["X"].shape == (FACTS[name]["n"], FACTS[name]["p"])
        assert len(np.unique(arrays["y"])) == FACTS[name]["classes"]
        assert len(arrays["X_test"]) == len(arrays["y_test"])


def test_a_named_set_is_inferred_from_and_saved_under_its_name(command, unchecked, tmp_path):
    ended = command(
        "infer", "--task", "two-moons", "--train", 4, "--width", 5, "--balanced", "--method", "rejection", *FAST
    )
    found = ended.object
    assert (found["task"]["set"], found["task"]["examples"], found["task"]["test_examples"]) == ("two-moons", 4, 800)
    assert (found["task"]["independent"], found["certificate"]) == (False, None)
    assert [path.name for path in tmp_path.iterdir()] == ["two-moons-4-mlp-width5-balanced-rejection-seed0.nc"]


def test_every_name_that_an_option_takes_is_listed(command):
    listed = json.loads(command("list", "--json").out)
    assert {"sensing", "digits", "mnist", "breast-cancer", "wine", "two-moons", "mnist1d", "teacher"} <= set(
        listed["task"]
    )
    assert set(listed["fit"]) >= {"errors", "cross-entropy", "squared", "margin"}
    assert "mlp" in listed["family"]
    assert "kaiming" in listed["gd-init"]
    assert all(listed["task"].values())
