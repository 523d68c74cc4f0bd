"""The command line: thin commands over :mod:`bayesgc.api`."""

from __future__ import annotations

from bayesgc.cli.app import app, run

__all__ = ["app", "main"]


def main() -> None:
    """The entry point of the ``bayesgc`` command."""
    run()
