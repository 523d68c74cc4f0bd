"""Words as HTML: everything is escaped, and words in backticks, such as the names of arguments, are set as code."""

from __future__ import annotations

import re

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

_CODE = re.compile(r"`(\w+(?:=\S+?)?)`")


def environment() -> Environment:
    """What templates are rendered with; only what is `Markup` already is taken as HTML."""
    return Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_coded
    )


def _coded(value: object) -> object:
    """Text with the words in backticks as code."""
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(value))))
