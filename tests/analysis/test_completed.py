"""The table filled in: names of its own, and observed cells to the last digit."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from records_for_tests import tree

import bayesgc as gc
from bayesgc.analysis.completed import completed, completed_text
from bayesgc.analysis.predictive import predict
from bayesgc.task import load
from bayesgc.validate import InputError

TABLE = pd.DataFrame(
    {
        "price": [1700000012345.0, np.nan, 1700000099999.0, 1e-7],
        "price_low": [0.1, 0.2, 0.30000000000000004, np.nan],
        "price_high": [123456.7890123456, 2.0, 3.0, 4.0],
        "row": [1.0, 2.0, 4.0, 8.0],
    },
    index=["a", "b", "c", "d"],
)


def inferred(source: Any, **reading: Any) -> xr.DataTree:
    model = gc.MatrixFactorization(depth=2, width=2, normalize=False)
    budget = {"eps": "99%", "method": "rejection", "gd": False, "map": False, "draws": 4, "chains": 2}
    return gc.infer(model, load(source, **reading), **budget)


@pytest.fixture(scope="module")
def result() -> xr.DataTree:
    return inferred(TABLE)


def test_observed_cells_come_back_to_the_last_digit(result: xr.DataTree) -> None:
    table, seen = gc.completed(result)[list(TABLE)], TABLE.notna().to_numpy()
    assert table.to_numpy()[seen].tolist() == TABLE.to_numpy()[seen].tolist()
    assert pd.read_csv(io.StringIO(completed_text(result)))["price"].tolist()[0] == 1700000012345.0


def test_intervals_take_no_column_of_the_table(result: xr.DataTree) -> None:
    table = gc.completed(result)
    ends = ["price_low_2", "price_high_2", "price_low_low", "price_low_high"]
    assert table.columns.tolist() == [*TABLE, *ends]
    assert table["price_low_2"].notna().tolist() == TABLE["price"].isna().tolist()
    head = completed_text(result).partition("\n")[0]
    assert head == ",".join(["row_2", *TABLE, *ends])


def test_results_of_earlier_versions_hold_no_originals(result: xr.DataTree) -> None:
    older = result.copy()
    older["constant_data"] = older["constant_data"].to_dataset().drop_vars("originals")
    assert gc.completed(older)["price"].tolist()[0] == 1700000012345.0
    np.testing.assert_allclose(gc.completed(older)["price_high"], TABLE["price_high"], rtol=1e-11)


@pytest.mark.parametrize(
    ("name", "text", "reading", "head", "first"),
    [
        ("a.csv", "city;a;b\nX;1,5;2\nY;2,5;\nZ;3;4,25\n", {}, "city;a;b;b_low;b_high", "X;1,5;2,0;;"),
        ("a.csv", "city|a|b\nX|1.5|2\nY|2.5|\nZ|3|4\n", {"separator": "bar"}, "city|a|b|b_low|b_high", "X|1.5|2.0||"),
        ("a.tsv", "city\ta\tb\nX\t1.5\t2\nY\t2.5\t\nZ\t3\t4\n", {}, "city\ta\tb\tb_low\tb_high", "X\t1.5\t2.0\t\t"),
        ("a.csv", 'a,b\n"1,5",2\n"2,5",\n3,4\n', {"decimal": ","}, "a,b,b_low,b_high", '"1,5","2,0",,'),
        (
            "a.csv",
            "city a b\nX 1.5 2\nY 2.5 NA\nZ 3 4\n",
            {"separator": "space"},
            "city a b b_low b_high",
            "X 1.5 2.0 NA NA",
        ),
        ("a.csv", "a_low,a,b\nX,1.5,2\nY,,3\nZ,4,5\n", {}, "a_low,a,b,a_low_2,a_high", "X,1.5,2.0,,"),
        ("a.csv", ",a,b\nX,1.5,2\nY,2.5,\nZ,3,4\n", {}, "row,a,b,b_low,b_high", "X,1.5,2.0,,"),
    ],
)
def test_the_text_is_written_as_the_table_was_read(
    tmp_path: Path, name: str, text: str, reading: dict[str, Any], head: str, first: str
) -> None:
    """With its separator, its decimal mark and the heading of its labels; so it is read again without a word."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    whole = completed_text(inferred(tmp_path / name, **reading))
    assert whole.splitlines()[:2] == [head, first]
    (tmp_path / "again.csv").write_text(whole, encoding="utf-8")
    assert load(tmp_path / "again.csv", **reading).shape[0] == 3


def test_a_tsv_has_tabs_whatever_was_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("city;a;b\nX;1,5;2\nY;2,5;\nZ;3;4\n", encoding="utf-8")
    whole = completed_text(inferred(tmp_path / "a.csv"), ".tsv")
    assert whole.splitlines()[:2] == ["city\ta\tb\tb_low\tb_high", "X\t1,5\t2,0\t\t"]
    (tmp_path / "again.tsv").write_text(whole, encoding="utf-8")
    assert load(tmp_path / "again.tsv").coords["row"] == ["X", "Y", "Z"]


def test_a_long_table_is_called_by_the_column_of_its_rows() -> None:
    long = pd.DataFrame({"user": ["a", "a", "b"], "item": ["x", "y", "x"], "stars": [1.0, 2.0, 3.0]})
    table = gc.completed(inferred(long, rows="user", cols="item", values="stars"))
    assert (table.index.name, table.columns.tolist()) == ("user", ["x", "y", "y_low", "y_high"])
    frame = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, np.nan]}, index=pd.Index(["a", "b"], name="user"))
    assert gc.completed(inferred(frame)).index.name == "user"
    assert gc.completed(inferred(frame.rename_axis(None))).index.name is None


def test_what_has_no_cells_is_refused_in_the_name_of_what_was_called() -> None:
    for name, ask in (("completed", completed), ("predict", predict)):
        with pytest.raises(InputError, match=f"^{name} needs a posterior given observed cells"):
            ask(tree())
