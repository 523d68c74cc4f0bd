"""A tree of datasets as the bytes of a netCDF-4 file, and back, by h5py alone.

The file is item by item that of xarray with h5netcdf, which looks every object up anew for each of its attributes and
dimensions: with the fifty arrays of a result that takes several times as long. How each array is encoded, by the CF
conventions, is still xarray's to say.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.conventions import cf_encoder, encode_dataset_coordinates

_HIDDEN = {
    "CLASS", "NAME", "REFERENCE_LIST", "DIMENSION_LIST", "_Netcdf4Dimid", "_Netcdf4Coordinates", "_NCProperties",
    "_nc3_strict",
}  # fmt: skip
_NO_VARIABLE = "This is a netCDF dimension but not a netCDF variable."
_TEXT = h5py.string_dtype()


def suits(tree: xr.DataTree) -> bool:
    """Whether `written` can write the tree: arrays in memory of numbers, truth values or text, none of them empty."""
    return all(_suits(node.to_dataset(inherit=False)) for node in tree.subtree)


def _suits(dataset: xr.Dataset) -> bool:
    attributes = [dataset.attrs, *(array.attrs for array in dataset.variables.values())]
    if not all(_is_plain(value) for each in attributes for value in each.values()):
        return False
    arrays = dataset.variables.values()
    return all(array.dtype.kind in "biufUO" and array.size and array.chunks is None for array in arrays)


def _is_plain(value: Any) -> bool:
    """Whether h5py makes of an attribute what netCDF has: a text, numbers of one type, or texts."""
    lists = isinstance(value, np.ndarray | np.generic | list | tuple)
    return type(value) in (str, int, float) or (lists and np.asarray(value).dtype.kind in "iufU")


def written(tree: xr.DataTree) -> memoryview:
    """The file of a tree that `suits`."""
    content, numbers = io.BytesIO(), itertools.count()
    with h5py.File(content, "w", track_order=True) as file:
        file.attrs["_NCProperties"] = np.bytes_(f"version=2,h5py={h5py.__version__},hdf5={h5py.version.hdf5_version}")
        known: dict[str, Mapping[str, _Dimension]] = {}
        for node in tree.subtree:
            group = file if node.path == "/" else file.create_group(node.path, track_order=True)
            above = {} if node.parent is None else known[node.parent.path]
            known[node.path] = _write_group(group, node.to_dataset(inherit=False), above, numbers)
    return content.getbuffer()


class _Dimension:
    """A dimension scale: its number in the file, its length, and the data set that stands for it."""

    def __init__(self, number: int, scale: h5py.Dataset) -> None:
        self.number, self.scale = np.int32(number), scale


def _write_group(
    group: h5py.Group, dataset: xr.Dataset, above: Mapping[str, _Dimension], numbers: Iterator[int]
) -> Mapping[str, _Dimension]:
    """Write one group; the dimensions that are known in it."""
    variables, attributes = cf_encoder(*encode_dataset_coordinates(dataset))
    _write_attributes(group, attributes)
    own = {
        str(dim): _Dimension(next(numbers), group.create_dataset(str(dim), (size,), dtype=">f4", track_order=True))
        for dim, size in dataset.sizes.items()
        if dim not in variables and dim not in above
    }
    made = {str(name): _write_array(group, str(name), array) for name, array in variables.items()}
    for name, dimension in own.items():
        dimension.scale.make_scale(f"{_NO_VARIABLE}{dataset.sizes[name]:10}")
        dimension.scale.attrs["_Netcdf4Dimid"] = dimension.number
    for name in (str(dim) for dim in dataset.sizes if dim in made):
        own[name] = _Dimension(next(numbers), made[name])
        made[name].make_scale(name)
    known = {**above, **own}
    for name, array in made.items():
        _label(array, [known[str(dim)] for dim in variables[name].dims], own.get(name))
    return known


def _write_array(group: h5py.Group, name: str, array: xr.Variable) -> h5py.Dataset:
    """One array with its attributes, not yet bound to its dimensions."""
    values, attributes = np.asarray(array.values), dict(array.attrs)
    text = values.dtype.kind in "UO"
    missing = attributes.pop("_FillValue", None)
    made = group.create_dataset(
        name,
        values.shape,
        dtype=_TEXT if text else values.dtype,
        data=values.astype(object) if text else values,
        fillvalue=missing,
        track_order=True,
    )
    if missing is not None:
        made.attrs["_FillValue"] = np.array([missing], dtype=values.dtype)
    _write_attributes(made, attributes)
    return made


def _label(array: h5py.Dataset, dims: list[_Dimension], own: _Dimension | None) -> None:
    """Bind an array to its dimensions, one of which it may be the scale of."""
    if not dims:
        return
    array.attrs["_Netcdf4Coordinates"] = np.array([dim.number for dim in dims], dtype=np.int32)
    array.attrs["_Netcdf4Dimid"] = dims[0].number
    if own is None:
        for axis, dim in enumerate(dims):
            h5py.h5ds.attach_scale(array.id, dim.scale.id, axis)


def _write_attributes(item: h5py.Group | h5py.Dataset, attributes: Mapping[Any, Any]) -> None:
    for key, value in attributes.items():
        item.attrs[str(key)] = value if isinstance(value, str) or not np.isscalar(value) else np.atleast_1d(value)


def read(file: h5py.File) -> xr.DataTree:
    """The tree in a netCDF-4 file, all of it in memory."""
    return xr.DataTree.from_dict({path: xr.decode_cf(each).load() for path, each in _groups(file, "/")})


def _groups(group: h5py.Group, path: str) -> Iterator[tuple[str, xr.Dataset]]:
    """The group and all groups in it with their paths, each as it is in the file."""
    items = dict(group.items())
    arrays = {name: item for name, item in items.items() if isinstance(item, h5py.Dataset)}
    variables = {name: _read_array(name, item) for name, item in arrays.items() if not _stands_alone(item)}
    yield path, xr.Dataset(variables, attrs=attributes_of(group))
    for name, item in items.items():
        if name not in arrays:
            yield from _groups(item, f"{path.rstrip('/')}/{name}")


def _stands_alone(item: h5py.Dataset) -> bool:
    """Whether this is the scale of a dimension that has no coordinates."""
    return bool(h5py.h5ds.is_scale(item.id)) and h5py.h5ds.get_scale_name(item.id).startswith(_NO_VARIABLE.encode())


def _read_array(name: str, item: h5py.Dataset) -> xr.Variable:
    text = h5py.check_string_dtype(item.dtype) is not None
    values = item.asstr()[...] if text else item[...]
    dims = [name] if h5py.h5ds.is_scale(item.id) else [_name(each[-1], item) for each in _bound(item)]
    return xr.Variable(dims, values, attributes_of(item), {"dtype": str if text else values.dtype})


def _bound(item: h5py.Dataset) -> Any:
    """References to the scales of each dimension."""
    return item.attrs["DIMENSION_LIST"] if item.ndim else ()


def _name(scale: h5py.Reference, item: h5py.Dataset) -> str:
    """The last part of the name of what is referred to."""
    name: bytes = h5py.h5r.get_name(scale, item.id)
    return name.decode().rpartition("/")[-1]


def attributes_of(item: h5py.Group | h5py.Dataset) -> dict[str, Any]:
    """The attributes that are no part of the format; of arrays of one item, the item."""
    found = {}
    for key in item.attrs:
        if key not in _HIDDEN:
            value = item.attrs[key]
            if isinstance(value, bytes):  # as other programs write texts
                value = value.decode()
            elif isinstance(value, np.ndarray) and value.dtype.kind == "O":
                value = value.tolist()
            found[key] = value[0] if not np.isscalar(value) and len(value) == 1 else value
    return found
