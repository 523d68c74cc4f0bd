"""The cases with known answers, from file to JSON: splitting, and rejection where the volume allows it."""

from __future__ import annotations

import math

import pytest

# Those with eps > 0; the long ones are slow.
NAMES = ["shared-2", *(pytest.param(f"shared-{i}", marks=pytest.mark.slow) for i in (1, 3, 4))]
# Four combined standard errors: under a true answer each comparison fails with probability 6e-5.
LIMIT = 4.0


def options(case, *more):
    facts = case.facts
    named = {name: facts[name] for name in ("depth", "width", "activation", "prior", "eps")}
    pairs = [part for name, value in named.items() for part in (f"--{name}", value)]
    normalize = "--normalize" if facts["normalize"] else "--no-normalize"
    return ["infer", "--json", "--no-gd", "--data", case.path, normalize, *pairs, *more]


def standard_errors(found, known, known_error):
    """How far an estimate is from a known number, in combined standard errors."""
    value = found.get("mean", found.get("estimate"))
    return abs(value - known) / math.hypot(found["mcse"], known_error)


def disagreements(found, facts):
    return {
        "log_volume": standard_errors(found["log_volume"], facts["log_volume"], facts["log_volume_se"]),
        "gen": standard_errors(found["posterior"]["gen_loss"], facts["gen"], facts["gen_se"]),
        "prior_gen": standard_errors(found["prior"]["gen_loss"], facts["prior_gen"], facts["prior_gen_se"]),
    }


@pytest.mark.parametrize("name", NAMES)
def test_splitting_agrees(command, cases, name):
    ended = command(*options(cases[name], "--method", "splitting"))
    assert (ended.code, ended.object["outcome"]) == (0, "converged")
    assert ended.object["posterior"]["gen_loss"]["mcse"] <= 0.05 * ended.object["posterior"]["gen_loss"]["mean"]
    assert ended.object["log_volume"]["mcse"] <= 0.15
    found = disagreements(ended.object, cases[name].facts)
    assert max(found.values()) < LIMIT, found


def test_another_threshold_disagrees(command, cases):
    """Negative control: twice the threshold is another event, and the comparison must see it."""
    case = cases["shared-1"]
    found = command(*options(case, "--method", "rejection", "--eps", 2 * case.facts["eps"])).object
    assert disagreements(found, case.facts)["log_volume"] > LIMIT


@pytest.mark.parametrize("name", ["shared-1", pytest.param("shared-2", marks=pytest.mark.slow)])
def test_rejection_agrees(command, cases, name):
    ended = command(*options(cases[name], "--method", "rejection", "--max-seconds", 3600, "--precision", 0.1))
    assert (ended.code, ended.object["outcome"]) == (0, "converged")
    found = disagreements(ended.object, cases[name].facts)
    assert max(found.values()) < LIMIT, found


@pytest.mark.parametrize("name", ["shared-6", pytest.param("shared-5", marks=pytest.mark.slow)])
def test_exact_fits_agree(command, cases, name):
    ended = command(*options(cases[name]))  # eps = 0, where the automatic method is importance
    facts, found = cases[name].facts, ended.object
    assert (ended.code, found["outcome"], found["log_volume"]) == (0, "converged", None)
    assert standard_errors(found["log_evidence"], facts["log_evidence"], facts["log_evidence_se"]) < LIMIT
    assert standard_errors(found["posterior"]["gen_loss"], facts["gen"], facts["gen_se"]) < LIMIT
