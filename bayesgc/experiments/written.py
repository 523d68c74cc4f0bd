"""Sweeps and studies as they are written in TOML: what a file may hold, and what is said of what it may not."""

from __future__ import annotations

import os
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bayesgc.analysis.claims.stated import Stated
from bayesgc.analysis.tree.panels import PANEL
from bayesgc.options import Options, refusal
from bayesgc.options.names import check_names
from bayesgc.validate import InputError, nearest

_CLAIM, _PART = "claim", "part"
_TABLES = {PANEL: "panels", _CLAIM: "claims", _PART: "parts"}
"""What there may be several of: each a table with its name in the singular, read into the field of this name."""
_SINGLE = {"options": "[options]", "axes": "[axes]"} | {table: f"[[{table}]]" for table in _TABLES}
"""How tables are written; any other key by its name."""


Own = TypeVar("Own", bound="Written")


class Grid(BaseModel):
    """Whatever has ``options`` that are set, and ``axes`` of options that vary, with their values."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @field_validator("axes", mode="before", check_fields=False)
    @classmethod
    def _lists(cls, axes: Any) -> Any:
        """Ranges, tuples and arrays are as good as lists."""
        return {name: _list(values) for name, values in axes.items()} if isinstance(axes, Mapping) else axes

    @field_validator("options", "axes", check_fields=False)
    @classmethod
    def _underscores(cls, named: dict[str, Any]) -> dict[str, Any]:
        return _plain_keys(named)


class Written(Grid, ABC):
    """What sweeps and studies have in common, checked: a fault is one line that names the key."""

    title: str
    question: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    axes: dict[str, list[Any]] = Field(default_factory=dict)
    panels: dict[str, dict[str, Any]] = Field(default_factory=dict)
    notes: list[str] = Field(default_factory=list)
    claims: list[Stated] = Field(default_factory=list)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            inside = error.errors()[0]["loc"][:1] == ("claims",)
            raise refusal(error, keys=(Stated if inside else type(self)).model_fields) from None

    @classmethod
    def load(cls: type[Own], file: str | os.PathLike[str]) -> Own:
        """What is written in a TOML file; there panels, claims and parts are tables ``[[panel]]`` and so on.

        Panels and parts have a name.

        Raises:
            InputError: for a file that cannot be read, or a key that does not fit.
        """
        path = Path(file)
        content = _parsed(path)
        try:
            found = cls(**_fields(content, cls.model_fields))
            # All of them first: a study makes its sweeps for it, which are refused where they do not fit.
            check_names(list(found.named()))
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        return found

    @abstractmethod
    def named(self) -> Iterable[tuple[str, str, Any]]:
        """Every value of every option, after where it stands."""

    @field_validator("panels")
    @classmethod
    def _underscores_inside(cls, panels: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {name: _plain_keys(given) for name, given in panels.items()}


def _fields(content: dict[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """The values of these fields that a file has, with tables such as ``[[panel]]`` gathered by their names.

    Raises:
        InputError: for a key that it cannot have.
    """
    many = {table: name for table, name in _TABLES.items() if name in fields}
    _check_keys(content, [name for name in fields if name not in many.values()], many)
    for table, name in many.items():
        if {table, name} <= content.keys():
            raise InputError(f"{table} and {name} are both there; write tables [[{table}]] alone.")
        if table in content:
            content[name] = _gathered(table, content.pop(table))
        elif isinstance(content.get(name), list):
            content[name] = _gathered(table, content[name])
    return _plain_keys(content)


def _plain_keys(named: dict[str, Any]) -> dict[str, Any]:
    """Options may be written with dashes, as on the command line."""
    return {key.replace("-", "_"): value for key, value in named.items()}


def _list(values: Any) -> Any:
    """Values of an axis as a list, where they are something like one."""
    if hasattr(values, "tolist"):  # of an array, whose elements are no numbers of Python
        return values.tolist()
    return list(values) if hasattr(values, "__iter__") and not isinstance(values, str | dict) else values


def _parsed(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}); give a sweep or a study in TOML.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not text in UTF-8, as TOML is; save it so.") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is not TOML: {error}.") from None


def _check_keys(content: Mapping[str, Any], plain: list[str], many: Mapping[str, str]) -> None:
    """Refuse, in words of the file, keys that it cannot have, and options that stand outside of their tables."""
    written = {name: _SINGLE.get(name, name.replace("_", "-")) for name in (*plain, *many)}
    if _PART in content and _PART not in many:
        raise InputError(f"[[{_PART}]] makes this a study, which has sweeps for parts; give it to `bayesgc study`.")
    for key in [each for each in content if each.replace("-", "_") not in {*written, *many.values()}]:
        if key.replace("-", "_") in Options.model_fields:
            raise InputError(f"{key} is an option; write it below [options], or with a list of values below [axes].")
        near = nearest(key, written)
        raise InputError(f"there is no key {key!r}{f'; did you mean {written[near]}?' if near else '.'}")


def _gathered(table: str, found: Any) -> Any:
    """The tables of one name: claims in their order, others by the names that they have."""
    if not isinstance(found, list):
        raise InputError(_said(table, found))
    return [_claim(count, each) for count, each in enumerate(found, 1)] if table == _CLAIM else _named(table, found)


def _said(table: str, found: Any) -> str:
    """How tables are written of which there may be several."""
    what = f"[{table}] is one table" if isinstance(found, dict) else f"{table} is {found!r}"
    name = "" if table == _CLAIM else " with a name"
    return f"{what}; write each {table} as a table [[{table}]]{name}, in two brackets."


def _named(table: str, found: list[Any]) -> dict[str, Any]:
    named: dict[str, Any] = {}
    for each in found:
        name = each.pop("name", None) if isinstance(each, dict) else None
        if not isinstance(name, str) or name in named:
            raise InputError(f"{table}.name is {name!r}; each [[{table}]] needs a name of its own.")
        named[name] = each
    return named


def _claim(count: int, found: Any) -> Stated:
    try:
        return Stated(**found)
    except ValidationError as error:
        raise InputError(f"[[claim]] {count}: {refusal(error, parts=1, keys=Stated.model_fields)}") from None
