"""A store: a folder with a sweep's cells, each written whole or not at all, and what is made from them.

``sweep.json`` says what the sweep is, ``cells/`` holds one result for each cell and ``summaries/`` what it says,
``gd/`` the gradient descents that cells share, ``failures/`` why a cell has none, and ``sweep.nc`` everything as one
dataset.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
from filelock import FileLock, Timeout

from bayesgc.analysis.tree import whole
from bayesgc.analysis.tree.panels import PANEL
from bayesgc.analysis.tree.storage import DAMAGE
from bayesgc.experiments.sweep import Sweep
from bayesgc.inference.version import ALGORITHM
from bayesgc.validate import InputError

SCHEMA = 1
CELLS, SUMMARIES, DESCENTS, FAILURES = "cells", "summaries", "gd", "failures"
_SUFFIX = {CELLS: ".nc", SUMMARIES: ".json", DESCENTS: ".nc", FAILURES: ".json"}


class Store:
    """A folder that one sweep writes to at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path, sweep: Sweep) -> Iterator[Store]:
        """The store at ``path`` for this sweep, new or as it was left, locked while it is open.

        The lock belongs to the process: it ends with it, however that ends.

        Raises:
            InputError: where the folder cannot be written, is in use, or holds another sweep or another version.
        """
        store = cls(path)
        with _clear_errors(path):
            for folder in _SUFFIX:
                (path / folder).mkdir(parents=True, exist_ok=True)
            lock = FileLock(path / ".lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                raise InputError(f"{path} is in use by another sweep; wait for it, or give another folder.") from None
        try:
            store._settle(sweep)
            yield store
        finally:
            lock.release()

    def file(self, kind: str, key: str) -> Path:
        """Where a part is, or would be."""
        return self.path / kind / f"{key}{_SUFFIX[kind]}"

    def has(self, kind: str, key: str) -> bool:
        """Whether a part is there to be read: what is cut short counts as missing, and what was found to be damaged."""
        return not self.file(FAILURES, key).is_file() and _opens(self.file(kind, key))

    def put(self, kind: str, key: str, content: bytes) -> None:
        """Write a part at once, whole or not at all."""
        self.write(f"{kind}/{key}{_SUFFIX[kind]}", content)
        if kind != FAILURES:
            self.file(FAILURES, key).unlink(missing_ok=True)

    def borrow(self, kind: str, key: str) -> bool:
        """Take a part from a store beside this one, where there is one that has it whole; whether it is here now."""
        for neighbour in sorted(self.path.absolute().parent.glob(f"*/{kind}/{key}{_SUFFIX[kind]}")):
            beside = Store(neighbour.parent.parent)
            if beside.path.name == self.path.absolute().name or not _version(beside.path):
                continue
            if beside.has(kind, key) and _opens(neighbour, throughout=True):
                self.put(kind, key, neighbour.read_bytes())
                return True
        return False

    def failure(self, key: str) -> str | None:
        """Why a part is not there, where it was tried."""
        file = self.file(FAILURES, key)
        return str(json.loads(file.read_text(encoding="utf-8"))["reason"]) if file.is_file() else None

    def write(self, name: str, content: bytes | memoryview) -> Path:
        """Write a file of the store: it appears under its name when it is on the disk as a whole.

        Raises:
            InputError: where that is impossible, as on a full disk; what was there before stays.
        """
        target = self.path / name
        with _clear_errors(target):
            whole.replace(target, content)
        return target

    def _settle(self, sweep: Sweep) -> None:
        """Check what is there, remove what a killed process left unfinished, and write what the sweep is."""
        before = read_description(self.path)
        if before is not None:
            _check_same(before, sweep, self.path)
            self._tidy()
        text = json.dumps(describe(sweep), indent=2, ensure_ascii=False, default=str)
        self.write("sweep.json", text.encode())

    def _tidy(self) -> None:
        """Remove what `write` left unfinished here; other stores, and files of anybody else, may be in the folder."""
        own = {self.path: r"sweep\.(json|nc)"}
        own |= {self.path / kind: f".+{re.escape(suffix)}" for kind, suffix in _SUFFIX.items()}
        for folder, name in own.items():
            for part in folder.glob(".*.part"):
                if re.fullmatch(rf"\.{name}\.[0-9a-f]{{8}}\.part", part.name):
                    part.unlink(missing_ok=True)


def describe(sweep: Sweep) -> dict[str, Any]:
    """What ``sweep.json`` says of a sweep."""
    return {
        "schema": SCHEMA,
        "algorithm": ALGORITHM,
        "title": sweep.title,
        "question": sweep.question,
        "axes": sweep.dimensions,
        "options": sweep.options,
        "panels": sweep.panels,
        "notes": sweep.notes,
        "claims": [each.model_dump(exclude_defaults=True) for each in sweep.claims],
    }


def read_description(path: Path) -> dict[str, Any] | None:
    """``sweep.json`` of a store, None where there is none.

    Raises:
        InputError: where it cannot be read.
    """
    file = path / "sweep.json"
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(found, dict) and isinstance(found.get("schema"), int):
            return found
    except (OSError, ValueError):
        pass
    raise InputError(f"{file} is damaged or was not written by bayesgc; give another folder.")


def _check_same(before: dict[str, Any], sweep: Sweep, path: Path) -> None:
    """Refuse a store of another schema or algorithm, and a sweep that would leave cells of the store out."""
    if before["schema"] != SCHEMA:
        raise InputError(
            f"{path} has store schema {before['schema']}; this bayesgc writes {SCHEMA}: give a new folder."
        )
    if before.get("algorithm") != ALGORITHM:
        raise InputError(
            f"{path} was made by version {before.get('algorithm')} of the algorithms; this bayesgc has {ALGORITHM}, "
            "whose cells would differ: give a new folder, or the bayesgc that made it."
        )
    axes = {name: values for name, values in before["axes"].items() if name != PANEL}
    old = Sweep(title=before["title"], axes=axes, options=before["options"], panels=before["panels"])
    missing = {cell.key for cell in old.cells()} - {cell.key for cell in sweep.cells()}
    if missing:
        raise InputError(
            f"{path} holds another sweep, {before['title']!r}: {len(missing)} of its cells are not in this one. "
            "Give a new folder, or a sweep that contains it."
        )


def _opens(file: Path, *, throughout: bool = False) -> bool:
    """Whether a file is HDF5 of its full length, which takes no time to see; ``throughout`` reads all of it."""
    try:
        with h5py.File(file, "r") as opened:
            if throughout:
                opened.visititems(_read)
    except DAMAGE:
        return False
    return True


def _read(name: str, item: Any) -> None:
    if isinstance(item, h5py.Dataset):
        item[()]


def _version(store: Path) -> bool:
    """Whether a folder is a store of this version."""
    try:
        found = read_description(store)
    except InputError:
        return False
    return found is not None and (found["schema"], found.get("algorithm")) == (SCHEMA, ALGORITHM)


@contextlib.contextmanager
def _clear_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputError(
            f"Cannot write {target}: {whole.reason(error, target)}. What was finished before is kept: "
            "fix that, and the same command goes on from there."
        ) from error
