"""A result in the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from bayesgc.analysis.words.rendered import rendered


def print_result(console: Console, result: dict[str, Any], *, saved: str | None = None) -> None:
    """Print ``result``, and where it was ``saved``, to ``console``."""
    console.print(rendered(result, saved=saved, rest="--json lists them all"))
