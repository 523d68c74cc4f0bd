"""Files that are there as a whole or not at all: the one way in which anything is written.

What is to be in a file is made in memory first. It is then written beside the file, brought to the disk and renamed, so
that a full disk, an interruption or a power cut leaves what was there before.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from bayesgc.validate import InputError

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write(target: str | os.PathLike[str], content: bytes | memoryview) -> Path:
    """Write ``content`` to ``target``, which it replaces, and return the path.

    Raises:
        InputError: where that is impossible, with the cause; what was there before stays.
    """
    path = Path(target)
    with told(path):
        replace(path, content)
    return path


def write_new(names: Iterable[Path], content: bytes | memoryview) -> Path:
    """Write ``content`` under the first of ``names`` that nobody has, not even since a moment ago, and return it.

    Raises:
        InputError: where that is impossible, with the cause; then nothing is left behind.
    """
    others = iter(names)
    first = next(others)
    with told(first), beside(first, content) as part:
        return next(name for name in itertools.chain([first], others) if _taken(name, part))


def replace(target: Path, content: bytes | memoryview) -> None:
    """As `write`, for those who have words of their own for an `OSError`."""
    file = Path(os.path.realpath(target))  # a link stays one, as everywhere
    with beside(file, content) as part:
        part.replace(file)
    _sync_folder(file.parent)


@contextlib.contextmanager
def beside(target: Path, content: bytes | memoryview) -> Iterator[Path]:
    """A file beside ``target`` with ``content`` on the disk, to be renamed; gone afterwards where it was not."""
    part = part_of(target)
    try:
        with part.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        yield part
    finally:
        part.unlink(missing_ok=True)


def part_of(target: Path) -> Path:
    """A name of its own for what is to become ``target``."""
    return target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")


@contextlib.contextmanager
def told(target: Path) -> Iterator[None]:
    """Turn an `OSError` into one line that says what could not be written, why, and what helps."""
    try:
        yield
    except OSError as error:
        raise InputError(f"Cannot write {target}: {reason(error, target)}; {advice(error)}.") from error


def reason(error: OSError, target: Path) -> str:
    """Why writing failed, with the room that is left where that may be why."""
    words = error.strerror or str(error)
    if error.errno in _FULL:
        with contextlib.suppress(OSError):
            words += f" ({shutil.disk_usage(target.absolute().parent).free / 2**20:.0f} MiB free)"
    return words


def advice(error: OSError) -> str:
    """What helps where writing failed."""
    if error.errno == errno.EFBIG:
        return "files may not become that large there: raise the limit (ulimit -f), or give a file on another disk"
    if error.errno in _FULL:
        return "make room there, or give a file on another disk"
    if error.errno == errno.ENAMETOOLONG:
        return "give a shorter name"
    return "give a file in a writable folder"


def _taken(name: Path, part: Path) -> bool:
    """Give ``part`` a name that nobody has; False where somebody has it, who may have taken it a moment ago."""
    try:
        os.close(os.open(name, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except FileExistsError:
        return False
    try:
        part.replace(name)
    except BaseException:
        name.unlink(missing_ok=True)
        raise
    _sync_folder(name.parent)
    return True


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut, where folders can be synchronised."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
