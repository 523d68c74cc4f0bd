"""What options can name, known before the modules are imported that make it: a wrong name is answered at once.

`names.json` repeats what the registries hold, and the tests hold it to them. It is asked of what a user writes, not of
what a store holds, whose files may be gone. Where torch is imported already the registries themselves answer, as they
know what has been registered since.
"""

from __future__ import annotations

import functools
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from bayesgc.plugins import CODE, check_file, is_code, offered, specs_in
from bayesgc.validate import InputError, check_opens, one_of

_CHOICES = ("activation", "scaling", "fit", "normalize_weights", "gd_optimizer", "gd_init", "gd_protocol", "dtype")
_PLUGINS = ("task", "method", "prior")
Named = tuple[str, str, Any]
_DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?|mps")


@functools.cache
def shipped() -> dict[str, list[str]]:
    """The names that come with the package, by kind."""
    text = (files("bayesgc.options") / "names.json").read_text(encoding="utf-8")
    return {kind: list(names) for kind, names in json.loads(text).items()}


def is_set(task: str) -> bool:
    """Whether the name of a task is that of a set of labelled examples, which only code that is imported may add to."""
    if task in shipped()["set"] or sys.modules.get("torch") is None:
        return task in shipped()["set"]
    from bayesgc.task import DATASETS

    return task in DATASETS


def check_names(named: Iterable[Named]) -> None:
    """Refuse files and names that are not there, without importing torch.

    Code of the user's own may register names: where any is named, only files are looked for.

    Args:
        named: options by name with their values, each after where it is named; nothing where that needs no word.

    Raises:
        InputError: as the registries would, naming the place, the value and what is allowed.
    """
    if sys.modules.get("torch") is not None:
        return
    given = [each for each in named if each[-1] is not None]
    for each in given:
        _said(each, _check_files)
    specs = [(name, spec) for _, name, value in given for spec in _specs(name, value)]
    if not any(is_code(spec) or _is_offered(kind, spec) for kind, spec in specs):
        for each in given:
            _said(each, _check)


def _said(named: Named, check: Callable[[str, Any], None]) -> None:
    """Check a value, and name the place of a fault."""
    place, name, value = named
    try:
        check(name, value)
    except InputError as error:
        raise InputError(f"{place}: {error}" if place else str(error)) from None


def _check_files(name: str, value: Any) -> None:
    """Refuse a file of code or data that is not there."""
    for spec in _specs(name, value):
        check_file(name, spec)
    if name == "data":
        check_opens(Path(value))


def _specs(name: str, value: Any) -> Iterator[str]:
    """What may be code in the value of an option."""
    if name == "prior" and isinstance(value, str):
        yield from specs_in("prior", value)
    elif name in ("model", "method", "task") and isinstance(value, str):
        yield value


def _is_offered(kind: str, spec: str) -> bool:
    """Whether an installed package offers it."""
    return any(point.name == spec.partition(":")[0] for point in offered(kind))


def _check(name: str, value: Any) -> None:
    """Refuse a name of this option that does not come with the package."""
    if not isinstance(value, str):
        return
    if name in _PLUGINS:
        others = shipped()["set"] if name == "task" else []
        known = [*shipped()[name], *others, *(point.name for point in offered(name)), *CODE]
        for spec in _specs(name, value):
            one_of(name, spec.partition(":")[0], known)
    elif name == "family":
        one_of(name, value, [*shipped()["family"], *shipped()["network"]])
    elif name in _CHOICES:
        one_of(name.replace("gd_", "gd "), value, shipped()[name])
    elif name == "device" and not _DEVICE.fullmatch(value):
        raise InputError(f"device is {value!r}; write auto, cpu, cuda, cuda:i or mps.")
