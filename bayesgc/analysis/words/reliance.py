"""Whether a result can be relied on, as a table of its checks and in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.text import Text

from bayesgc.analysis.words.fitted import FittedTable
from bayesgc.analysis.words.numerals import rounded
from bayesgc.verification import Found

if TYPE_CHECKING:
    from bayesgc.analysis.diagnose import Diagnosis


def diagnosis_table(diagnosis: Diagnosis) -> RenderableType:
    """One row a check, then the advice of those that are not fine."""
    table = FittedTable(("", "check", "found", "wanted"), labels=2)
    for check in diagnosis.checks:
        style, mark = _MARKS[check.status]
        table.add_row(Text(mark, style=style), check.name, _found(check.found), str(check.limit))
    advice = [Text(f"{_MARKS[each.status][1]} {each.name}: {each.advice}", style=_MARKS[each.status][0])
              for each in diagnosis.checks if each.advice]  # fmt: skip
    verdict = Text(f"{reliance(diagnosis)} ({diagnosis.method}).", style="bold")
    return Group(table, Text(), *advice, *([Text()] if advice else []), verdict)


def _found(found: Found) -> str:
    """A number, a whole one such as a count without decimals, or words."""
    if not isinstance(found, float):
        return str(found or "-")
    return f"{found:.0f}" if found.is_integer() and abs(found) < _LONG else rounded(found)


_LONG = 1e6
"""From here on a whole number is rounded as others are."""


def reliance(diagnosis: Diagnosis) -> str:
    """Whether to rely on it, in a sentence without its full stop."""
    if not diagnosis.healthy:
        return "Do not rely on this result as it is"
    careful = [check.name for check in diagnosis.checks if check.status == "caution"]
    if diagnosis.passed_by is not None:
        why = f"explain nothing, as {diagnosis.passed_by} fits too"
        return f"Its numbers can be relied on, but {why}; mind: {'; '.join(careful)}"
    if careful:
        return f"This result can be relied on, but mind: {'; '.join(careful)}"
    return "Nothing is wrong with this result"


_MARKS = {"fine": ("green", "✓"), "caution": ("yellow", "!"), "wrong": ("red", "✗")}
