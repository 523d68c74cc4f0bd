"""What stands for a plug-in in a key: the content of its file and of the user's own files that it imports.

Imports are followed as they are written, without running anything: those inside functions count, names that are put
together at run time do not. The standard library, installed packages and this one are not the user's own; a plug-in
that lies in an installed package counts by that package's version.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from bayesgc import plugins
from bayesgc.models.priors.prior import PRIORS

_PACKAGE = "bayesgc"
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def code_key(spec: str, named: plugins.Registry[Any] = PRIORS) -> str:
    """What stands for a plug-in or a model: its name, and for code of the user's own all that decides what it does.

    A file among the options of a plug-in, such as ``mine.py:prior:table=data.npz``, counts by its content too.
    """
    source, function, options = plugins.split(spec)
    name = spec.partition(":")[0]
    if name in named:
        return _registered_key(named.source(named[name]), spec)
    if not function or "=" in function:  # the name of an entry point, with its options
        module = named.offered_at(name)
        return spec if module is None else f"{_module_key(module)}:{spec}"
    key = _file_key(Path(source)) if plugins.is_file(source) else _module_key(source)
    return ":".join([key, function, *([_options_key(options)] if options else [])])


def content(name: str) -> str:
    """What stands for a file in a key; a name that is none of a file stands for itself."""
    return _hash(Path(name).read_bytes()) if Path(name).is_file() else name


def _registered_key(thing: Any, spec: str) -> str:
    """What is shipped counts by its name; what was registered in Python by the file that it was written in."""
    if thing.__module__.partition(".")[0] == _PACKAGE:
        return spec
    source = inspect.getsourcefile(thing)
    return spec if source is None or not Path(source).is_file() else f"{_file_key(Path(source))}:{spec}"


def _options_key(options: str) -> str:
    """The options of a plug-in; a value that looks like the path of a file and is one stands for its content."""
    pairs = [item.partition("=") for item in options.split(",")]
    return ",".join(f"{key}{equals}{content(value) if Path(value).suffix else value}" for key, equals, value in pairs)


def _file_key(file: Path) -> str:
    if not file.is_file():
        return str(file)
    own, path = file.read_bytes(), [str(file.resolve().parent), *sys.path]
    return _combined(_hash(own), _followed(_imported(own, ""), path))


def _module_key(name: str) -> str:
    path = [str(Path.cwd()), *sys.path]
    found = _own_files(name, path)
    if name in found:
        return f"{name}@{_combined('', _followed([name], path))}"
    version = _version(name.partition(".")[0])
    return name if version is None else f"{name}@{version}"


def _combined(own: str, others: dict[str, str]) -> str:
    """``own`` itself where nothing else counts."""
    return _hash(f"{own} {sorted(others.items())}".encode()) if others else own


def _followed(names: list[str], path: Sequence[str]) -> dict[str, str]:
    """The content of the user's own modules with these names and of all that they import, by their names."""
    hashes: dict[str, str] = {}
    waiting = list(names)
    while waiting:
        for module, file in _own_files(waiting.pop(), path).items():
            if module not in hashes:
                source = file.read_bytes()
                hashes[module] = _hash(source)
                package = module if file.name == "__init__.py" else module.rpartition(".")[0]
                waiting += _imported(source, package)
    return hashes


def _imported(source: bytes, package: str) -> list[str]:
    """The modules that a file of ``package`` imports; of ``from a import b`` both, as ``b`` may be a module."""
    names = []
    for level, module, members in _import_statements(source):
        parents = package.split(".")[: len(package.split(".")) - level + 1] if level else []
        base = ".".join(filter(None, [*parents, module]))
        names += [".".join(filter(None, [base, member])) for member in ("", *members)]
    return [name for name in names if name]


@functools.lru_cache(maxsize=256)
def _import_statements(source: bytes) -> tuple[tuple[int, str, tuple[str, ...]], ...]:
    """Every import as (dots before the name, module, members); none where this is not Python, which fails elsewhere."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except (SyntaxError, ValueError):
        return ()
    plain = [(0, alias.name, ()) for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    members = [
        (node.level, node.module or "", tuple(alias.name for alias in node.names if alias.name != "*"))
        for node in nodes
        if isinstance(node, ast.ImportFrom)
    ]
    return (*plain, *members)


def _own_files(name: str, path: Sequence[str]) -> dict[str, Path]:
    """The files that importing ``name`` executes, its packages' first, as far as they exist and are the user's own."""
    files: dict[str, Path] = {}
    locations = path
    for full in _prefixes(name):
        spec = _spec(full, locations)
        if spec is None or not _is_own(spec):
            break
        if spec.origin is not None and spec.has_location:
            files[full] = Path(spec.origin)
        if spec.submodule_search_locations is None:
            break
        locations = list(spec.submodule_search_locations)
    return files


def _prefixes(name: str) -> Iterator[str]:
    parts = name.split(".")
    return (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _spec(name: str, path: Sequence[str]) -> ModuleSpec | None:
    """Where a module lies, without importing it or its packages."""
    if name in sys.stdlib_module_names or name == _PACKAGE:
        return None
    # By the last part of its name alone: for the whole one, packages would have to be imported.
    spec = PathFinder.find_spec(name.rpartition(".")[2], path)
    if spec is None and "." not in name:
        try:  # packages that are installed to be edited may have finders of their own
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            return None
    return spec


def _is_own(spec: ModuleSpec) -> bool:
    """Whether a module belongs to the user: not to the standard library, and not installed."""
    places = [spec.origin] if spec.origin and spec.has_location else list(spec.submodule_search_locations or [])
    library = Path(sysconfig.get_path("stdlib")).resolve()
    return bool(places) and not any(
        _INSTALLED & set(Path(place).parts) or library in Path(place).resolve().parents for place in places
    )


@functools.lru_cache(maxsize=64)
def _version(package: str) -> str | None:
    """Name and version of what is installed under this name."""
    found = importlib.metadata.packages_distributions().get(package)
    return f"{found[0]} {importlib.metadata.version(found[0])}" if found else None


def _hash(source: bytes) -> str:
    return hashlib.sha256(source).hexdigest()
