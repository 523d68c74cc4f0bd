"""The claims that a sweep states itself, in the page about it: a sentence of verdicts, and a table."""

from __future__ import annotations

from collections import Counter

from bayesgc.analysis.claims.claims import ENOUGH_TASKS, FEW_TASKS, limit_of, numbers_of, stated_claims
from bayesgc.analysis.claims.decisions import Claim
from bayesgc.analysis.report.page import Section, Table
from bayesgc.analysis.tree.stores import Store

_RULE = (
    "Factors are geometric means over tasks, with t-intervals over tasks. A claim holds where the whole interval is in "
    f"the claimed range, fails where the whole of it is outside, and is undecided otherwise. {FEW_TASKS}"
)


def verdicts(claims: list[Claim]) -> str:
    """``Claimed: "width hurts" holds; "depth helps" holds in 1 of 2 panels, undecided in 1.``; nothing without any.

    What few tasks decide has a star, as in the table, and a word on it.
    """
    said = []
    for name in dict.fromkeys(claim.claim for claim in claims):
        own = [claim for claim in claims if claim.claim == name]
        star = " *" if any(claim.tasks < ENOUGH_TASKS and claim.verdict != "undecided" for claim in own) else ""
        said.append(f"“{name}” {_verdict([claim.verdict for claim in own])}{star}")
    few = f" ({FEW_TASKS.removesuffix('.')})" if any(each.endswith("*") for each in said) else ""
    return f"Claimed: {'; '.join(said)}{few}." if said else ""


def _verdict(found: list[str]) -> str:
    """One verdict, or how many panels have which."""
    counts = Counter(found)
    called = {"undecided": "is undecided"}
    if len(counts) == 1:
        return f"{called.get(found[0], found[0])}{' in every panel' if len(found) > 1 else ''}"
    first, *others = [f"{called.get(verdict, verdict)} in {count}" for verdict, count in counts.most_common()]
    return ", ".join([f"{first} of {len(found)} panels", *others])


def claims_section(claims: list[Claim]) -> Section | None:
    """A row a claim and panel: verdict, what was measured and claimed, effect with its interval; None without any."""
    if not claims:
        return None
    rows = [
        (claim.claim, claim.panel or "-", claim.verdict, claim.measured, limit_of(claim), *numbers_of(claim),
         claim.note or "-")
        for claim in claims
    ]  # fmt: skip
    marks = {place: "caution" for place, claim in enumerate(claims) if claim.verdict != "holds"}
    headings = ("claim", "panel", "verdict", "factor of", "claimed", "factor", "95 %", "± MC", "tasks", "note")
    return Section("claims", "What is claimed", tables=(Table(_RULE, headings, rows, marks, 5, 8).told,))


def claims_of(store: Store) -> list[Claim]:
    """What the sweep claims, decided by its data."""
    return list(stated_claims(store.cells, ""))
