"""Options as the shell has them, in texts of rooms that know only Python's names.

Those rooms write an argument as one does in Python, as `` `max_seconds` `` or `` `method=splitting` ``; here it becomes
``--max-seconds`` or ``--method splitting``. Other words in backticks stay as they are.
"""

from __future__ import annotations

import re

from bayesgc.options import Options

_MARKED = re.compile(r"`(\w+)(?:=([^`\s]+))?`")
_OF_COMMANDS = frozenset({"force", "out", "plot", "weights", "hide", "completed"})
"""Names of options that single commands have besides those of an inference."""


def in_flags(text: str) -> str:
    """The same text with every marked option as a flag."""
    return _MARKED.sub(_flag, text)


def _flag(found: re.Match[str]) -> str:
    name, value = found.groups()
    if name not in Options.model_fields and name not in _OF_COMMANDS:
        return found.group()
    flag = name.replace("_", "-")
    if value in ("True", "False"):
        return f"--{flag}" if value == "True" else f"--no-{flag}"
    return f"--{flag}" if value is None else f"--{flag} {value}"
