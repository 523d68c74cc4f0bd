"""The table filled in: names of its own, and observed cells to the last digit."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import bayesgc as gc
from bayesgc.analysis.completed import completed_text
from bayesgc.task import load

TABLE = pd.DataFrame(
    {
        "price": [1700000012345.0, np.nan, 1700000099999.0, 1e-7],
        "price_low": [0.1, 0.2, 0.30000000000000004, np.nan],
        "price_high": [123456.7890123456, 2.0, 3.0, 4.0],
        "row": [1.0, 2.0, 4.0, 8.0],
    },
    index=["a", "b", "c", "d"],
)


@pytest.fixture(scope="module")
def result() -> xr.DataTree:
    model = gc.MatrixFactorization(depth=2, width=2, normalize=False)
    budget = {"eps": "99%", "method": "rejection", "gd": False, "map": False, "draws": 4, "chains": 2}
    return gc.infer(model, load(TABLE), **budget)


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
