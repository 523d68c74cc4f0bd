"""The live display: it fits into a terminal, and every stage that is over stops its clock."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bayesgc.cli.progress import LiveProgress
from bayesgc.inference import Progress

STAGES = [
    Progress("prior", 16, 16),
    Progress("pilot", 0.7, 1.0, threshold=1.23e-05, acceptance=0.24, log_volume=-114.06),
    Progress("islands", 3, 16, threshold=1.23e-05, acceptance=0.26, log_volume=-113.9),
    Progress("gradient descent", 100, 20_000, detail="25 fitted"),
]


def frame(width: int, reports: list[Progress]) -> list[str]:
    """The lines of the last frame."""
    file = io.StringIO()
    live = LiveProgress(Console(file=file, force_terminal=True, width=width, color_system=None))
    for report in reports:
        live.update(report)
    inner = Console(file=io.StringIO(), width=width, color_system=None)
    inner.print(live._bars.get_renderable())
    return [line.rstrip() for line in inner.file.getvalue().splitlines()]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_one_line_a_stage_within_the_terminal(width):
    lines = frame(width, STAGES)
    assert len(lines) == len(STAGES)
    assert max(map(len, lines)) <= width
    assert [line.split()[-1] for line in lines[:3]] == ["0:00"] * 3  # over: the time taken
    assert lines[3].endswith("left")


def test_all_facts_at_eighty_columns():
    assert "ε 1.23e-05  accept 0.26  log P -113.9" in frame(80, STAGES[:3])[2]


def test_a_stage_may_go_on_after_its_first_end():
    lines = frame(80, [Progress("islands", 16, 16), Progress("islands", 17, 32)])
    assert len(lines) == 1
    assert lines[0].endswith("left")
