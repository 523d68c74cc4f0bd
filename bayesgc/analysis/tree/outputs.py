"""What may be written over: nothing that a command reads, and nothing of anybody else's unless that is said."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from bayesgc.analysis.tree import whole
from bayesgc.analysis.tree.storage import CREATOR, is_result
from bayesgc.validate import InputError

SIGNATURES = {
    ".png": b"Software\0" + CREATOR.encode(),
    ".svg": f"<dc:title>{CREATOR}</dc:title>".encode(),
    ".pdf": f"/Creator ({CREATOR})".encode(),
    ".html": f'<meta name="generator" content="{CREATOR}">'.encode(),
    ".htm": f'<meta name="generator" content="{CREATOR}">'.encode(),
}
"""What a picture or page of ours says of itself, by the ending of its name."""


def check_output(
    name: str, path: Path, suffixes: Sequence[str], *, inputs: Iterable[Path] = (), force: bool = False
) -> None:
    """Refuse, before any work, a file that could not be written or must not be.

    Args:
        name: what the user calls it, such as the report.
        path: the file.
        suffixes: the endings that are allowed.
        inputs: what the command reads: none of it is replaced, by whatever name or link, not even with ``force``.
        force: whether a file that is not ours may be replaced.

    Raises:
        InputError: saying which of it is wrong.
    """
    folder = path.absolute().parent
    if path.suffix.lower() not in suffixes:
        raise InputError(f"{name} is {str(path)!r}; its name must end in {' or '.join(suffixes)}.")
    if not folder.is_dir():
        raise InputError(f"{name} is {str(path)!r}; the folder {str(folder)!r} does not exist.")
    check_replaced(name, path, inputs=inputs, force=force)
    _check_writable(name, path)


def check_replaced(name: str, path: Path, *, inputs: Iterable[Path] = (), force: bool = False) -> None:
    """Refuse a file that must not be replaced: a folder, an input, or a file that is not ours without ``force``."""
    if not os.path.lexists(path):
        return
    if path.is_dir():
        raise InputError(f"{name} is {str(path)!r}, which is a folder; give the name of a file.")
    for each in inputs:
        if same_file(path, each):
            raise InputError(
                f"{name} is {str(path)!r}, which is the input {str(each)!r}, and would replace it; give another name."
            )
    if not force and path.exists() and not _is_ours(path):
        raise InputError(
            f"{name} is {str(path)!r}, which is there and was not written by {CREATOR}: "
            f"give another name, or `force=True` to replace it."
        )


def same_file(one: Path, other: Path) -> bool:
    """Whether two names are of one file, through links and other spellings too."""
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return False


def is_zarr_of_ours(folder: Path) -> bool:
    """Whether a folder is a Zarr store that this package wrote."""
    try:
        return bool(json.loads((folder / ".zattrs").read_text(encoding="utf-8"))["creation_library"] == CREATOR)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _is_ours(path: Path) -> bool:
    """Whether a file says of itself that this package wrote it; an empty one has nothing to lose."""
    if not path.is_file():
        return False
    if path.stat().st_size == 0:
        return True
    signature = SIGNATURES.get(path.suffix.lower())
    try:
        return is_result(path) if signature is None else signature in path.read_bytes()
    except OSError:
        return False


def _check_writable(name: str, path: Path) -> None:
    """Try what will be done at the end: a file beside the target, under a name as long."""
    part = whole.part_of(Path(os.path.realpath(path)))
    try:
        part.touch()
    except OSError as error:
        raise InputError(
            f"{name} is {str(path)!r}; nothing can be written in {str(part.parent)!r} ({error.strerror}): "
            f"{whole.advice(error)}."
        ) from error
    part.unlink(missing_ok=True)
