"""How the documentation is built: Sphinx with MyST; nothing is fetched."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

project = "bayesgc"
author = "the bayesgc developers"
copyright = f"2026, {author}"
release = installed_version("bayesgc")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build", "_generated"]
html_theme = "furo"
html_title = f"bayesgc {release}"

myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 3
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrt"

default_role = "py:obj"
# What the package exports at its top may be described again in its own module; a reference may then mean either.
suppress_warnings = ["ref.python"]
python_maximum_signature_line_length = 100
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False


def _write_command_line_page(target: Path) -> None:
    """The page of every command and option, as Typer writes it from the commands themselves."""
    target.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "typer", "bayesgc.cli", "utils", "docs", "--name", "bayesgc", "--output", target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the command line page could not be written:\n{done.stdout}{done.stderr}")


_write_command_line_page(Path(__file__).parent / "_generated" / "command-line.md")


_LITERAL = re.compile(r"(``.+?``|`[^`]+`)")


def _plain_text(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with literals: in the rest ``|B|``, ``W*`` and ``x_`` are mathematics, not markup."""
    for number, line in enumerate(lines):
        parts = _LITERAL.split(line)
        parts[::2] = [re.sub(r"([*|]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
        lines[number] = "".join(parts)


def setup(app: Any) -> None:
    """Called by Sphinx; 400 is before napoleon, which works at the default of 500."""
    app.connect("autodoc-process-docstring", _plain_text, priority=400)
