"""How the documentation is built: Sphinx with MyST; nothing is fetched."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml

project = "bayesgc"
author = "the bayesgc developers"
copyright = f"2026, {author}"
release = installed_version("bayesgc")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build", "_generated"]
html_theme = "furo"
html_math_renderer = "mathml"
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


def _formula(writer: Any, node: Any) -> None:
    """A formula as MathML, which browsers set by themselves: no script, and nothing is fetched."""
    block = isinstance(node, nodes.math_block)
    # Sphinx's equations may have several lines; docutils sets them where they stand in an environment.
    lines = node.astext().strip().replace(r"\dots", r"\ldots")
    lines = f"\\begin{{aligned}}{lines}\\end{{aligned}}" if "\\\\" in lines and "\\begin" not in lines else lines
    markup = tex2mathml(lines, as_block=block)
    writer.body.append(f'<div class="math">{markup}</div>' if block else markup)
    raise nodes.SkipNode


_LITERAL = re.compile(r"(``.+?``|`[^`]+`)")


def _plain_text(_app: Any, _what: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with literals: in the rest ``|B|``, ``W*`` and ``x_`` are mathematics, not markup."""
    for number, line in enumerate(lines):
        parts = _LITERAL.split(line)
        parts[::2] = [re.sub(r"([*|]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
        lines[number] = "".join(parts)


def setup(app: Any) -> None:
    """Called by Sphinx; 400 is before napoleon, which works at the default of 500."""
    app.add_html_math_renderer("mathml", inline_renderers=(_formula, None), block_renderers=(_formula, None))
    app.connect("autodoc-process-docstring", _plain_text, priority=400)
