"""Figures as images that stand in the page itself."""

from __future__ import annotations

import base64
import io

import matplotlib as mpl
from matplotlib.figure import Figure

from bayesgc.analysis.plots.look import LOOK, labels_in_any_script


def data_uri(figure: Figure) -> str:
    """The figure as SVG in a data URI; text is kept as text, and nothing depends on the time of day."""
    stream = io.BytesIO()
    with mpl.rc_context({**LOOK, "svg.hashsalt": "bayesgc"}), labels_in_any_script():
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(stream.getvalue()).decode("ascii")
