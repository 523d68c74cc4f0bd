"""Default names of results tell runs of other questions apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from bayesgc.cli.names import default_stem
from bayesgc.options import Options


def stem(**given):
    options = Options.checked(given)
    return default_stem(options, options.make_task())


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({}, "sensing-5x5-depth2-seed0"),
        ({"depth": 8, "activation": "tanh", "eps": "5%", "seed": 3}, "sensing-5x5-depth8-tanh-eps5pct-seed3"),
        ({"width": "10", "normalize": False, "scaling": "unit"}, "sensing-5x5-depth2-width10-unit-no-normalize-seed0"),
        ({"prior": "student-t:df=3", "rank": 2, "task_seed": 4},
         "sensing-5x5-depth2-student-t_df=3-rank2-task-seed4-seed0"),
        ({"task": "two-moons", "train": 6, "width": "20,10"}, "two-moons-6-mlp-width20_10-seed0"),
        ({"shape": "2x3x2", "family": "cp", "method": "rejection"}, "sensing-2x3x2-cp-depth2-rejection-seed0"),
        ({"depth": 2, "max_seconds": 5.0, "gd": False, "activation": "linear"}, "sensing-5x5-depth2-seed0"),
    ],
)  # fmt: skip
def test_what_was_chosen_of_the_question_is_in_the_name(given, name):
    assert stem(**given) == name


def test_a_name_is_one_file_of_moderate_length():
    found = stem(prior=",".join(["student-t:df=3"] * 20), depth=20)
    assert len(found) < 140
    assert Path(found).name == found
