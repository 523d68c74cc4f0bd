"""One self-contained page about a result or a sweep: nothing is fetched, and it can be sent to a colleague as it is."""

from __future__ import annotations

from bayesgc.analysis.report.page import write_report

__all__ = ["write_report"]
