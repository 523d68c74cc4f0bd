"""What a cell's file says, in the JSON of ``bayesgc infer``, beside the cell: to open netCDF takes a second, this none.

A summary counts only for the very bytes that it was made from and in the version that made it; else it is made anew.
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Mapping
from typing import Any

import xarray as xr

from bayesgc import __version__
from bayesgc.analysis.tree.storage import load
from bayesgc.analysis.tree.strict import to_json
from bayesgc.analysis.tree.summary import result_object
from bayesgc.experiments.store import CELLS, SUMMARIES, Store
from bayesgc.validate import InputError


def summary_of(tree: xr.DataTree, content: bytes) -> bytes:
    """The file beside a cell: the summary of its result, and by what to know that it is of the cell's ``content``."""
    return to_json(_made_from(content) | {"result": result_object(tree)}).encode()


def read_summary(store: Store, key: str) -> Mapping[str, Any]:
    """The summary of a cell that is there; made and kept where it is missing or of something else.

    Raises:
        OSError, InputError and whatever `bayesgc.analysis.tree.storage.DAMAGE` names: where the cell cannot be read.
    """
    file = store.file(CELLS, key)
    content = file.read_bytes()
    found = _kept(store, key)
    if {name: found.get(name) for name in ("crc32", "bayesgc")} != _made_from(content):
        made = summary_of(load(file), content)
        # What cannot be kept is made again; a full disk is told of where the dataset is written.
        with contextlib.suppress(InputError):
            store.put(SUMMARIES, key, made)
        found = json.loads(made)
    result: Mapping[str, Any] = found["result"]
    return result


def _made_from(content: bytes) -> dict[str, Any]:
    return {"crc32": zlib.crc32(content), "bayesgc": __version__}


def _kept(store: Store, key: str) -> dict[str, Any]:
    try:
        found = json.loads(store.file(SUMMARIES, key).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
