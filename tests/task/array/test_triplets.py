"""Long tables, one cell a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bayesgc.task import load
from bayesgc.validate import InputError

LONG = "user,item,rating\nann,x,4\nbob,x,2\nann,y,5\ncem,z,\ncem,y,1\n"
NAMES = {"rows": "user", "cols": "item", "values": "rating"}


def read(folder: Path, text: str, **options: Any):
    path = folder / "long.csv"
    path.write_text(text, encoding="utf-8")
    return load(path, **{**NAMES, **options})


def test_each_line_is_a_cell(tmp_path: Path) -> None:
    task = read(tmp_path, LONG, standardize=False)
    assert task.coords == {"row": ["ann", "bob", "cem"], "col": ["x", "y", "z"]}
    assert (task.cells.tolist(), task.targets.tolist()) == ([0, 1, 3, 7], [4, 5, 2, 1])
    assert task.description == {"file": "long.csv", **NAMES, "standardize": False, "scale": "one for all cells"}


def test_all_values_share_one_centre_and_scale(tmp_path: Path) -> None:
    task = read(tmp_path, LONG)
    assert task.targets.mean() == pytest.approx(0, abs=1e-12)
    assert task.targets.var() == pytest.approx(1 / 3)
    np.testing.assert_allclose(task.units.to_units(np.zeros((3, 3))), 3.0)


def test_numbers_name_rows_too(tmp_path: Path) -> None:
    assert read(tmp_path, "user,item,rating\n7,1,4\n3,2,5\n").coords == {"row": ["7", "3"], "col": ["1", "2"]}


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (
            LONG + "bob,x,3\n",
            {},
            "lines 3 and 7 both hold the cell of user 'bob' and item 'x'; each",
        ),
        (LONG, {"cols": "film"}, "has no column 'film'; its first line names user, item, rating"),
        (LONG + "dan,x,good\n", {}, "line 7, column 'rating' holds 'good'"),
        (LONG + ",x,1\n", {}, "line 7, column 'user' is empty"),
        (LONG, {"values": None}, "`values` is missing"),
        (LONG, {"values": "user"}, "the same column twice"),
        (LONG, {"drop": "user"}, "`drop` is for a table with a column for each quantity"),
        (
            "user,item,rating\nann,x,4\nbob,x,5\n",
            {},
            "no cell is empty, so nothing is left to predict; leave out the lines",
        ),
        ("user,item,rating\n", {}, "has a header and no rows"),
    ],
)
def test_what_cannot_be_is_told_with_its_line(tmp_path: Path, text: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError) as refused:
        read(tmp_path, text, **options)
    assert said in str(refused.value)


def test_names_of_more_cells_than_an_array_can_have_are_refused(tmp_path: Path) -> None:
    text = "user,item,rating\n" + "".join(f"{i},{i},{i}\n" for i in range(7200))
    with pytest.raises(InputError, match="has 7200 × 7200 cells; at most 50,000,000 are possible"):
        read(tmp_path, text)


def test_spaces_around_names_are_none_of_theirs(tmp_path: Path) -> None:
    assert read(tmp_path, LONG, rows=" user ").coords == read(tmp_path, LONG).coords
