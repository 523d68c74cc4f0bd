"""One check of a result: what was found, the limit, and what to do about it."""

from __future__ import annotations

import math
from dataclasses import dataclass

Found = float | int | str | None


@dataclass(frozen=True)
class Check:
    """What was found of one thing and what is allowed; ``status`` is ``fine``, ``caution`` or ``wrong``.

    A ``found`` of None could not be determined. ``advice`` is empty where all is fine.
    """

    name: str
    found: Found
    limit: Found
    status: str
    advice: str


def at_most(name: str, found: float, limit: float, advice: str, *, caution: bool = False) -> Check:
    """Fine up to ``limit``; beyond it, or where it is not known, wrong, or with ``caution`` a caution."""
    return _checked(name, found, limit, found <= limit, "≤", advice, caution)


def at_least(name: str, found: float, limit: float, advice: str, *, caution: bool = False) -> Check:
    """Fine from ``limit`` on; below it, or where it is not known, wrong, or with ``caution`` a caution."""
    return _checked(name, found, limit, found >= limit, "≥", advice, caution)


def _checked(name: str, found: float, limit: float, fine: bool, sign: str, advice: str, caution: bool) -> Check:
    known = None if not math.isfinite(found) else float(found)
    status = "fine" if fine else "caution" if caution else "wrong"
    return Check(name, known, f"{sign} {limit:.3g}", status, "" if fine else advice)
