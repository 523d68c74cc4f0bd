"""The files of results, beside those that xarray writes and reads by h5netcdf: item by item the same."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import xarray as xr
from h5netcdf.utils import CompatibilityError
from records_for_tests import table_task, tree

from bayesgc.analysis import netcdf, storage

TIMES = np.array(["2020-01-01", "2020-01-02"], dtype="datetime64[ns]")


def odd() -> xr.DataTree:
    """Arrays and attributes of every kind, dimensions with and without coordinates, some of them from above."""
    above = xr.Dataset(
        {"x": ("row", [1.0, np.nan, 3.0]), "yes": ("row", [True, False, True]), "n": ((), 7)},
        coords={"row": ["a", "ä", "☃"], "weight": ("row", np.float32([1, 2, 3])), "when": ((), 2.5)},
        attrs={"text": "ü", "number": 3, "one": [1.5], "list": [1, 2], "words": ["a", "b"], "float": np.float32(0.1)},
    )
    below = xr.Dataset(
        {"y": (("row", "free"), np.arange(6, dtype=np.int32).reshape(3, 2)), "z": ("free", ["1", "22"])},
        attrs={"note": ""},
    )
    deepest = xr.Dataset({"w": (("free", "row", "k"), np.ones((2, 3, 5)))}, coords={"k": range(5)})
    deepest["w"].attrs = {"mean": 1.0, "units": "m"}
    return xr.DataTree.from_dict({"/": above, "/below": below, "/other/deepest": deepest})


TREES = {"result": tree, "table": lambda: tree(table_task()), "odd": odd, "nothing": xr.DataTree}


def theirs(made: xr.DataTree) -> bytes:
    return bytes(made.to_netcdf(engine="h5netcdf"))


def items(content: bytes) -> dict[str, Any]:
    """All that is in a file, but for the references between its items, which stand for places in it."""
    found = {}

    def add(name: str, item: h5py.Group | h5py.Dataset) -> None:
        attributes = {
            key: (value.dtype, value.tolist()) if isinstance(value, np.ndarray | np.generic) else value
            for key in sorted(set(item.attrs) - {"DIMENSION_LIST", "REFERENCE_LIST", "_NCProperties"})
            for value in [item.attrs[key]]
            if not key.startswith("_Netcdf4")
        }
        layout = (
            (item.dtype, item.shape, item.chunks)
            if isinstance(item, h5py.Dataset)
            else [*getattr(item, "keys", list)()]
        )
        found[name] = repr((attributes, layout))

    with h5py.File(io.BytesIO(content), "r") as file:
        add("/", file)
        file.visititems(add)
    return found


def by_xarray(content: bytes, path: Path) -> xr.DataTree:
    path.write_bytes(content)
    with xr.open_datatree(path, engine="h5netcdf") as lazy:
        return lazy.load()


def by_us(content: bytes) -> xr.DataTree:
    with h5py.File(io.BytesIO(content), "r") as file:
        return netcdf.read(file)


def assert_same(first: xr.DataTree, second: xr.DataTree) -> None:
    """Identical, in the order and the types of everything too."""
    xr.testing.assert_identical(first, second)
    for one, other in zip(first.subtree, second.subtree, strict=True):
        assert one.path == other.path
        assert list(one.variables) == list(other.variables)
        assert list(one.coords) == list(other.coords)
        for name in one.variables:
            assert one[name].dtype == other[name].dtype
        for mine, yours in [(one, other), *((one[name], other[name]) for name in one.variables)]:
            assert [(key, type(each)) for key, each in mine.attrs.items()] == [
                (key, type(each)) for key, each in yours.attrs.items()
            ]


@pytest.mark.parametrize("name", TREES)
def test_the_file_is_that_of_xarray_and_each_reads_the_others(name, tmp_path):
    made = TREES[name]()
    assert netcdf.suits(made)
    ours = bytes(netcdf.written(made))
    reference = theirs(made)
    assert items(ours) == items(reference)
    expected = by_xarray(reference, tmp_path / "file.nc")
    assert_same(by_xarray(ours, tmp_path / "file.nc"), expected)
    assert_same(by_us(ours), expected)
    assert_same(by_us(reference), expected)


@pytest.mark.parametrize(
    "change",
    [
        lambda other: other.update({"x": other["x"] + 1}),
        lambda other: other.update({"x": other["x"].astype(np.float32)}),
        lambda other: other["x"].attrs.update(more=1),
        lambda other: other.attrs.update(number=3.0),
        lambda other: other.update({"more": xr.DataArray(1.0)}),
    ],
    ids=["value", "type", "attribute", "type of an attribute", "array"],
)
def test_the_comparison_sees_a_change(change):
    """Negative control, of values by reading and of all else item by item too."""
    other = odd()
    change(other)
    first, second = bytes(netcdf.written(odd())), bytes(netcdf.written(other))
    with pytest.raises(AssertionError):
        assert_same(by_us(first), by_us(second))


@pytest.mark.parametrize(
    "arrays",
    [{"x": ("a", [])}, {"x": 1j}, {"x": ("a", TIMES)}, {"x": xr.Variable((), 1.0, {"yes": True})}],
    ids=["empty", "complex", "times", "truth"],
)
def test_what_is_none_of_ours_is_left_to_xarray(arrays):
    made = xr.DataTree(xr.Dataset(arrays))
    assert not netcdf.suits(made)
    try:
        expected = items(theirs(made))
    except (TypeError, ValueError, CompatibilityError) as error:
        with pytest.raises(type(error)):
            storage.as_bytes(made)
    else:
        assert items(storage.as_bytes(made)) == expected


def test_an_array_without_names_of_its_axes_is_no_part_of_a_result(tmp_path):
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = np.ones(3)
    with h5py.File(tmp_path / "plain.h5", "r") as file, pytest.raises(storage.DAMAGE):
        netcdf.read(file)
