"""Plug-ins: what can be named of a kind, the user's own among it, and its options.

A plug-in is registered by a decorator, offered by an installed package as an entry point, or named where it lies, as
``package.module:function`` or ``file.py:function``. Whatever goes wrong in one ends in an `InputError` of one line that
names the plug-in and the fault.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import EllipsisType, ModuleType
from typing import Any, Generic, TypeVar

from bayesgc.validate import InputError, one_of, real_in

_FILE = ".py"
Entry = TypeVar("Entry")


class Registry(dict[str, Entry], Generic[Entry]):
    """What can be named of one kind: the registered ones, and by `find` and `available` those of others too.

    Args:
        kind: what it is, as in messages; installed packages offer it by the entry points ``bayesgc.<kind>s``.
        shape: what it must be, in words.
        accept: the entry that an object found elsewhere makes under a name; None where it is no such thing.
        source: the function or class that an entry was made of.
        ordered: names are told in alphabetical order rather than as they were registered, for kinds that are
            registered by modules which import each other.
    """

    def __init__(
        self,
        kind: str,
        shape: str,
        accept: Callable[[Any, str], Entry | None],
        source: Callable[[Entry], Any] = lambda entry: entry,
        *,
        ordered: bool = False,
    ) -> None:
        super().__init__()
        self.kind, self.shape, self.accept, self.source, self.ordered = kind, shape, accept, source, ordered

    def copy(self) -> Registry[Entry]:
        """Another registry that holds the same."""
        made = Registry(self.kind, self.shape, self.accept, self.source, ordered=self.ordered)
        made.update(self)
        return made

    @property
    def group(self) -> str:
        """The entry points by which installed packages offer such things."""
        return group_of(self.kind)

    def register(self, name: str, entry: Entry) -> None:
        """Make an entry available by a name.

        Raises:
            InputError: where another module has registered one of this name; one's own may be registered anew.
        """
        if name in self and not _of_one_source(held := self.source(self[name]), self.source(entry)):
            raise InputError(f"{self.kind} {name!r} is one of {held.__module__}; register yours by another name.")
        self[name] = entry
        if self.ordered:
            for each in sorted(self):
                self[each] = self.pop(each)

    def find(self, spec: str, others: Iterable[str] = ()) -> tuple[Entry, str]:
        """The entry that a specification names, and the text of its options.

        Args:
            spec: ``name``, ``file.py:function`` or ``package.module:function``, then options as ``:key=value,…``.
            others: what else may be named in its place, for the message.

        Raises:
            InputError: for what is not there, or is no such thing.
        """
        name, _, text = spec.partition(":")
        if name in self:
            return self[name], text
        for point in self._offered():
            if point.name == name:
                return self._loaded(point), text
        if not is_code(spec):
            one_of(self.kind, name, [*self, *others, *(point.name for point in self._offered()), *CODE])
        options = split(spec)[2]
        thing = load(self.kind, spec)
        entry = self.accept(thing, spec)
        if entry is None:
            raise InputError(f"{self.kind} {spec!r} is {thing!r}; it must be {self.shape}.")
        return entry, options

    def available(self) -> dict[str, Entry | str]:
        """Every entry that has a name; for an entry point that cannot be loaded, why."""
        found: dict[str, Entry | str] = dict(self)
        for point in self._offered():
            if point.name not in found:
                try:
                    found[point.name] = self._loaded(point)
                except InputError as error:
                    found[point.name] = str(error)
        return found

    def offered_at(self, name: str) -> str | None:
        """The module of what an installed package offers by this name; None where none does."""
        return next((point.module for point in self._offered() if point.name == name), None)

    def _offered(self) -> list[EntryPoint]:
        return offered(self.kind)

    def _loaded(self, point: EntryPoint) -> Entry:
        who = f"{self.kind} {point.name!r}, the entry point {point.value},"
        with blame(who):
            thing = point.load()
        entry = self.accept(thing, point.name)
        if entry is None:
            raise InputError(f"{who} is {thing!r}; it must be {self.shape}.")
        return entry


def group_of(kind: str) -> str:
    """The entry points by which installed packages offer plug-ins of a kind."""
    return f"bayesgc.{kind}s"


def offered(kind: str) -> list[EntryPoint]:
    """What installed packages offer of a kind, by name."""
    return sorted(entry_points(group=group_of(kind)), key=lambda point: point.name)


def is_foreign(thing: object) -> bool:
    """Whether a function or an object is none of this package's own, so that what goes wrong in it is its fault."""
    return thing.__module__.partition(".")[0] != "bayesgc"


def summary(thing: object) -> str:
    """The first line of what a function or class says of itself."""
    return (inspect.getdoc(thing) or "").split("\n")[0]


def options_in(kind: str, spec: str, text: str, allowed: Mapping[str, Any]) -> dict[str, Any]:
    """The options in a text such as ``df=3,kind=wide``: text where the default is one, else numbers.

    Raises:
        InputError: for an option that is not among those ``allowed``, which are given with their defaults.
    """
    options: dict[str, Any] = {}
    for item in filter(None, text.split(",")):
        key, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"{kind} is {spec!r}; options are written key=value, separated by commas.")
        if not allowed:
            raise InputError(f"{kind} is {spec!r}; it takes no options.")
        default = allowed[one_of(f"option of {kind} {spec!r}", key, allowed)]
        options[key] = value if isinstance(default, str) else _number(f"{kind} option {key}", value)
    return options


def _number(name: str, text: str) -> float | int:
    value = real_in(name, text, -math.inf)
    return int(text) if text.strip().lstrip("+-").isdigit() else value


def _of_one_source(one: Any, other: Any) -> bool:
    """Whether two functions or classes come from one module, or from one file that was executed again."""
    return one.__module__ == other.__module__ or (_file_of(one) is not None and _file_of(one) == _file_of(other))


def _file_of(thing: Any) -> str | None:
    code = getattr(thing, "__code__", None)
    found = getattr(sys.modules.get(thing.__module__), "__file__", None)
    return found if code is None else str(code.co_filename)


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


def listed(text: str) -> list[str | EllipsisType]:
    """A comma-separated list of specifications; ``key=value`` after a comma is an option of the one before."""
    parts: list[str] = []
    for item in text.split(","):
        head, equals, _ = item.partition("=")
        if parts and equals and ":" not in head:
            parts[-1] += f",{item}"
        else:
            parts.append(item)
    return [... if part == "..." else part for part in parts]


def by_pattern(kind: str, text: str) -> dict[str, str] | None:
    """Specifications by pattern in a text such as ``conv*.weight=uniform;*=student-t:df=4``; None for another text."""
    if "=" not in text.partition(":")[0]:
        return None
    found: dict[str, str] = {}
    for part in filter(None, (each.strip() for each in text.split(";"))):
        pattern, equals, spec = (each.strip() for each in part.partition("="))
        if not equals or not spec or ":" in pattern:
            raise InputError(f"{kind} is {text!r}; write pattern={kind} for names of weights, separated by semicolons.")
        found.setdefault(pattern, spec)
    return found


def specs_in(kind: str, text: str) -> list[str]:
    """All specifications in one for all layers, a list by layer, or a text by pattern."""
    patterns = by_pattern(kind, text)
    return [each for each in (listed(text) if patterns is None else patterns.values()) if isinstance(each, str)]


def called(spec: str) -> str:
    """What a specification is of, without where it lies and its options."""
    _, name, _ = split(spec)
    return name if _is_name(name) else spec.partition(":")[0]


def is_file(source: str) -> bool:
    """Whether the source of a plug-in is a file, and no module."""
    return source.endswith(_FILE)


CODE = ("file.py:function", "package.module:function")
"""How a plug-in is named where it lies."""


def is_code(spec: str) -> bool:
    """Whether a specification says where a plug-in lies, and is no name."""
    source, function, _ = split(spec)
    return is_file(source) or _is_name(function)


def check_file(kind: str, spec: str) -> None:
    """Refuse, before anything is executed, a plug-in in a file that is not there."""
    source, name, _ = split(spec)
    if is_file(source) and not Path(source).is_file():
        raise InputError(f"{_who(kind, source, name)}: there is no file {source!r}.")


def _who(kind: str, source: str, name: str) -> str:
    return f"{kind} {source}:{name}" if _is_name(name) else f"{kind} {source}"


def _is_name(text: str) -> bool:
    """Whether what stands after the source is the name of a function, and no option."""
    return bool(text) and "=" not in text


def load(kind: str, spec: str) -> Any:
    """The object that ``source:function`` names, which is usually a function.

    Args:
        kind: what it is to be, for the message: ``prior`` or ``model``.
        spec: a file or a module, a colon, and a name in it.

    Raises:
        InputError: where there is no such file, module or function, or its code fails when it is imported.
    """
    source, name, _ = split(spec)
    file, named = is_file(source), _is_name(name)
    if not named and not file:
        raise InputError(f"{kind} is {spec!r}; write {' or '.join(CODE)}.")
    check_file(kind, spec)
    who = _who(kind, source, name)
    module = _from_file(who, source) if file else _from_module(who, source)
    there = _own_names(module)
    if not named:
        hint = f"name what in it: {' or '.join(f'{source}:{each}' for each in there)}" if there else _NOTHING
        raise InputError(f"{kind} is {spec!r}, a file; {hint}.")
    if not hasattr(module, name):
        hint = f"it has {', '.join(there)}" if there else _NOTHING
        raise InputError(f"{who}: {source} has no {name!r}; {hint}.")
    return getattr(module, name)


_NOTHING = "it defines no function"


@contextlib.contextmanager
def blame(who: str) -> Iterator[None]:
    """Turn whatever a plug-in raises into an `InputError` that names it; running out of memory is not its fault."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise InputError(f"{who} failed with {type(error).__name__}{_detail(error)}.") from error


def _detail(error: Exception) -> str:
    """The first line of what an error says, and the second where the first only leads to it."""
    first, *others = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    whole = f"{first} {others[0]}" if others and first.endswith(":") else first
    return f": {whole.rstrip('.:')}" if whole else ""


def _own_names(module: ModuleType) -> list[str]:
    """What a module's own code made to be seen from outside: functions and the like, then classes."""
    own = {
        name: value
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
        if not getattr(value, "__name__", "_").startswith("_")
    }
    return sorted(own, key=lambda name: isinstance(own[name], type))


def _from_file(who: str, source: str) -> ModuleType:
    path = Path(source)
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
