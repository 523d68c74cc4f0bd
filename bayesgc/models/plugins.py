"""Plug-ins: objects of the user's own, named as ``package.module:function`` or ``file.py:function``.

Whatever goes wrong in one ends in an `InputError` of one line that names the plug-in and the fault.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from bayesgc.validate import InputError

_FILE = ".py"


def split(spec: str) -> tuple[str, str, str]:
    """``source:function:rest`` in its three parts, the last two empty where they are missing.

    The source is a file, whose name may hold colons, or a module.
    """
    if f"{_FILE}:" in spec:
        head, _, rest = spec.partition(f"{_FILE}:")
        source = f"{head}{_FILE}"
    else:
        source, _, rest = spec.partition(":")
    name, _, options = rest.partition(":")
    return source, name, options


def is_file(source: str) -> bool:
    """Whether the source of a plug-in is a file, and no module."""
    return source.endswith(_FILE)


def load(kind: str, spec: str) -> Any:
    """The object that ``source:function`` names, which is usually a function.

    Args:
        kind: what it is to be, for the message: ``prior`` or ``model``.
        spec: a file or a module, a colon, and a name in it.

    Raises:
        InputError: where there is no such file, module or function, or its code fails when it is imported.
    """
    source, name, _ = split(spec)
    if not name:
        raise InputError(f"{kind} is {spec!r}; write file.py:function or package.module:function.")
    who = f"{kind} {source}:{name}"
    module = _from_file(who, source) if is_file(source) else _from_module(who, source)
    if not hasattr(module, name):
        there = [key for key, value in vars(module).items() if _own_function(value, module)]
        hint = f"it has {', '.join(there)}" if there else "it defines no function"
        raise InputError(f"{who}: {source} has no {name!r}; {hint}.")
    return getattr(module, name)


@contextlib.contextmanager
def blame(who: str) -> Iterator[None]:
    """Turn whatever a plug-in raises into an `InputError` that names it; running out of memory is not its fault."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        text = str(error).strip()
        detail = f": {text.splitlines()[0].rstrip('.')}" if text else ""
        raise InputError(f"{who} failed with {type(error).__name__}{detail}.") from error


def _own_function(value: Any, module: ModuleType) -> bool:
    """Whether a module's own code made a function, or something like one, to be seen from outside."""
    own = callable(value) and not isinstance(value, type) and getattr(value, "__module__", None) == module.__name__
    return own and not getattr(value, "__name__", "_").startswith("_")


def _from_file(who: str, source: str) -> ModuleType:
    path = Path(source)
    if not path.is_file():
        raise InputError(f"{who}: there is no file {source!r}.")
    with blame(who), _importable_from(path.resolve().parent):
        return _executed(str(path.resolve()), path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=64)
def _executed(path: str, changed: int) -> ModuleType:
    """The module of a file, executed once for each time that the file was ``changed``."""
    name = f"bayesgc_plugin_{Path(path).stem}_{abs(hash((path, changed))):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _from_module(who: str, source: str) -> ModuleType:
    with _importable_from(Path.cwd()):
        try:
            return importlib.import_module(source)
        except ModuleNotFoundError as error:
            # Only where the module itself is missing: what it imports may be missing too.
            if error.name is None or not f"{source}.".startswith(f"{error.name}."):
                raise InputError(f"{who} failed with {type(error).__name__}: {error}.") from error
            raise InputError(f"{who}: there is no module {source!r}, here or among the installed ones.") from None
        except (InputError, MemoryError):
            raise
        except Exception as error:
            raise InputError(f"{who} failed with {type(error).__name__}: {error}.") from error


@contextlib.contextmanager
def _importable_from(folder: Path) -> Iterator[None]:
    """As Python itself treats the folder of a script: what lies in it can be imported."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
