"""How well results predict hidden cells, side by side, and which of two does better."""

from __future__ import annotations

from typing import Any

from bayesgc.analysis.hidden import NAMES, POSTERIOR
from bayesgc.analysis.words.numerals import rounded

Json = dict[str, Any]

HEADINGS = ("hidden cells", "G&C", "best simple mean", "within 90 %", "unexplained")
NOTE = (
    "Root mean square error at hidden cells, in standard deviations of the columns; within 90 %: values in G&C's 90 % "
    "intervals; unexplained: the share of the observed cells' variance that fits leave as noise."
)


def predicted_row(name: str, entry: Json) -> tuple[str, ...]:
    """The cells under the `HEADINGS` for one result."""
    found, left = entry["hidden"], _unexplained(entry)
    if found is None:
        return (name, "-", "-", "-", left)
    best, errors = found["best_other"], found["error"]
    covered = f"{found['covered']} of {found['cells']}"
    return name, rounded(errors[POSTERIOR]), f"{NAMES.get(best, best)} {rounded(errors[best])}", covered, left


def _unexplained(entry: Json) -> str:
    zero = entry["baselines"].get("zero")
    if entry["posterior"] is None or not zero or not zero["train_loss"]:
        return "-"
    return f"{rounded(100 * entry['posterior']['train_loss']['mean'] / zero['train_loss'], 2)} %"


def predicted_sentence(each: Json) -> str:
    """Which of two results predicts hidden cells better, that they are alike, or that it cannot be told."""
    found, mine, other = each["hidden"], each["label"], each["against"]
    if not found["same_cells"]:
        return f"Hidden from {mine} and from {other} were different cells, so their errors are not compared."
    return _SENTENCES[found["judgement"]].format(cells=found["cells"], mine=mine, other=other)


_SENTENCES = {
    "lower": "Predicts the {cells} hidden cells better: {mine}, than {other}.",
    "higher": "Predicts the {cells} hidden cells worse: {mine}, than {other}.",
    "alike": "Predict the {cells} hidden cells equally well: {mine} and {other}.",
    "undecided": "The {cells} hidden cells cannot tell which predicts better: {mine} or {other}.",
}
