"""The store: one sweep at a time, whole files, versions, and what happens when the disk is full."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from small import small_sweep

import bayesgc as gc
from bayesgc.experiments.store import CELLS, DESCENTS, FAILURES, Store, read_description
from bayesgc.inference.version import ALGORITHM

HOLDER = """
import sys, time
from pathlib import Path
from filelock import FileLock
lock = FileLock(Path(sys.argv[1]) / ".lock")
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def content() -> bytes:
    """A part of a store, as far as the store itself looks into it."""
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file.create_dataset("group/values", data=np.random.default_rng(0).normal(size=1000), compression="gzip")
    return stream.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store"


def test_a_store_says_what_it_holds(path):
    with Store.open(path, small_sweep()):
        pass
    found = read_description(path)
    assert found["axes"] == {"panel": ["tanh"], "depth": [2, 3], "task_seed": [0, 1]}
    assert (found["schema"], found["algorithm"], found["title"]) == (1, ALGORITHM, "small")


def test_two_sweeps_on_one_store(path):
    path.mkdir()
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(gc.InputError, match="in use by another sweep"), Store.open(path, small_sweep()):
            pass
        holder.kill()
    with Store.open(path, small_sweep()):  # the lock went with its process
        pass


def test_another_sweep_is_refused_and_a_larger_one_is_not(path):
    with Store.open(path, small_sweep()):
        pass
    other = small_sweep(axes={"depth": [4], "task_seed": [0, 1]})
    with pytest.raises(gc.InputError, match="holds another sweep, 'small': 4 of its cells"), Store.open(path, other):
        pass
    larger = small_sweep(title="larger", axes={"depth": [2, 3, 4], "task_seed": [0, 1]})
    with Store.open(path, larger):
        pass
    assert read_description(path)["title"] == "larger"


@pytest.mark.parametrize(
    ("change", "said"), [({"schema": 9}, "store schema 9"), ({"algorithm": 0}, "version 0 of the algorithms")]
)
def test_another_version_is_refused_and_left_alone(path, change, said):
    with Store.open(path, small_sweep()) as store:
        store.put(CELLS, "k", b"content")
    file = path / "sweep.json"
    text = json.dumps(json.loads(file.read_text(encoding="utf-8")) | change)
    file.write_text(text, encoding="utf-8")
    with pytest.raises(gc.InputError, match=said), Store.open(path, small_sweep()):
        pass
    assert file.read_text(encoding="utf-8") == text
    assert (path / "cells" / "k.nc").read_bytes() == b"content"


@pytest.mark.parametrize("text", ["", "{", "[]", "{}"])
def test_a_damaged_description(path, text):
    path.mkdir()
    (path / "sweep.json").write_text(text, encoding="utf-8")
    with pytest.raises(gc.InputError, match="damaged"), Store.open(path, small_sweep()):
        pass


def test_a_full_disk_loses_nothing(path, monkeypatch):
    with Store.open(path, small_sweep()) as store:
        store.put(CELLS, "first", b"one")

        def full(descriptor):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        for key in ("first", "second"):
            with pytest.raises(gc.InputError, match="No space left on device.*What was finished before is kept"):
                store.put(CELLS, key, b"two")
        assert (path / "cells" / "first.nc").read_bytes() == b"one"
        assert [file.name for file in (path / "cells").iterdir()] == ["first.nc"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_file_that_cannot_be_written_names_itself(tmp_path):
    with pytest.raises(gc.InputError, match="Cannot write"), Store.open(Path("/dev/full/store"), small_sweep()):
        pass


def test_what_a_killed_process_left_is_removed(path):
    with Store.open(path, small_sweep()):
        pass
    names = (".sweep.nc.01234567.part", "cells/.k.nc.89abcdef.part", "gd/.k.nc.00000000.part")
    left = [path / name for name in (*names, "failures/.k.json.0a1b2c3d.part")]
    for file in left:
        file.write_bytes(b"half")
    with Store.open(path, small_sweep()):
        assert not any(file.exists() for file in left)


NOT_ITS_OWN = (
    ".download.part",
    ".result.nc.01234567.part",
    "movies/.film.mkv.part",
    "cells/.k.nc.part",
    "cells/.k.txt.01234567.part",
    "nested/cells/.k.nc.01234567.part",
    "cells/deeper/.k.nc.01234567.part",
)


def test_what_others_left_in_the_folder_stays(path):
    for file in map(path.joinpath, NOT_ITS_OWN):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"half")
    for _ in range(2):
        with Store.open(path, small_sweep()):
            assert [name for name in NOT_ITS_OWN if not (path / name).exists()] == []


def test_nothing_is_removed_from_a_store_of_another_sweep_or_a_folder_that_is_none(path):
    left = path / "cells" / ".k.nc.01234567.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    with Store.open(path, small_sweep()):
        assert left.exists()  # nothing said yet that this was a store
    other = small_sweep(axes={"depth": [4], "task_seed": [0, 1]})
    with pytest.raises(gc.InputError, match="another sweep"), Store.open(path, other):
        pass
    assert left.exists()


def test_a_part_that_came_after_all_clears_its_failure(path):
    with Store.open(path, small_sweep()) as store:
        store.put(FAILURES, "k", b'{"reason": "no luck"}')
        assert store.failure("k") == "no luck"
        store.put(CELLS, "k", b"content")
        assert store.failure("k") is None


def test_parts_are_borrowed_from_stores_beside_this_one(tmp_path):
    with Store.open(tmp_path / "one", small_sweep()) as one, Store.open(tmp_path / "two", small_sweep()) as two:
        one.put(CELLS, "k", content())
        assert two.borrow(CELLS, "k")
        assert two.file(CELLS, "k").read_bytes() == content()
        assert not two.borrow(CELLS, "other")
    (tmp_path / "alien" / "cells").mkdir(parents=True)
    (tmp_path / "alien" / "cells" / "m.nc").write_bytes(content())
    with Store.open(tmp_path / "two", small_sweep()) as two:
        assert not two.borrow(CELLS, "m")


def scratched(whole: bytes) -> bytes:
    """A file of its full length that opens, with a compressed chunk that cannot be read."""
    with h5py.File(io.BytesIO(whole), "r") as file:
        chunk = file["group/values"].id.get_chunk_info(0)
    at = chunk.byte_offset + chunk.size // 2
    return whole[:at] + b"\0" * 64 + whole[at + 64 :]


def test_what_is_cut_short_counts_as_missing(path):
    with Store.open(path, small_sweep()) as store:
        for kind in (CELLS, DESCENTS):
            for damaged in (content()[:-100], content()[:10], b"", b"text"):
                store.put(kind, "k", damaged)
                assert not store.has(kind, "k")
            store.put(kind, "k", content())
            assert store.has(kind, "k")


def test_what_was_found_to_be_damaged_counts_as_missing_until_it_is_made_again(path):
    with Store.open(path, small_sweep()) as store:
        store.put(CELLS, "k", scratched(content()))
        assert store.has(CELLS, "k")  # which a look at its length cannot tell
        store.put(FAILURES, "k", b'{"reason": "it cannot be read"}')
        assert not store.has(CELLS, "k")
        store.put(CELLS, "k", content())
        assert store.has(CELLS, "k")


def test_what_is_damaged_is_not_borrowed_and_the_next_store_is_asked(tmp_path):
    sweep = small_sweep()
    with Store.open(tmp_path / "a", sweep) as a, Store.open(tmp_path / "b", sweep) as b:
        a.put(CELLS, "k", scratched(content()))
        b.put(CELLS, "k", content()[:-100])
        with Store.open(tmp_path / "z", sweep) as last:
            assert not last.borrow(CELLS, "k")
            assert not last.file(CELLS, "k").exists()
            b.put(CELLS, "k", content())
            assert last.borrow(CELLS, "k")
            assert last.file(CELLS, "k").read_bytes() == content()
