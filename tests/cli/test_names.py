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


def test_draws_of_examples_from_a_file_are_told_apart(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("u,v,y\n" + "".join(f"{i},{i % 3},{'ab'[i % 2]}\n" for i in range(40)), encoding="utf-8")
    given = {"data": table, "target": "y"}
    several = [{}, {"train": 6}, {"train": 8}, *({"train": 8, "task_seed": seed} for seed in (0, 1))]
    names = [stem(**given, **each) for each in several]
    assert len(set(names)) == len(names)
    assert names[-2:] == [f"t-mlp-train8-target-y-task-seed{seed}-seed0" for seed in (0, 1)]


def test_columns_of_a_long_table_are_told_apart(tmp_path):
    (tmp_path / "t.csv").write_text("u,i,j,v\na,x,k,1\nb,y,l,2\na,z,m,3\nc,x,l,4\n", encoding="utf-8")
    given = {"data": tmp_path / "t.csv", "rows": "u", "values": "v"}
    names = [stem(**given, cols=cols) for cols in ("i", "j")]
    assert names == [f"t-depth2-rows-u-cols-{cols}-values-v-seed0" for cols in ("i", "j")]


def test_a_long_name_keeps_its_seeds():
    long = {"prior": ",".join(["student-t:df=3"] * 20), "depth": 20}
    assert stem(**long, task_seed=7).endswith("-task-seed7-seed0")
    assert len(stem(**long, task_seed=7)) < 140
