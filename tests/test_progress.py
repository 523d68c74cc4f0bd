"""The live display: it fits into a terminal, every stage that is over stops its clock; and lines for a pipe."""

from __future__ import annotations

import io
import threading

import pytest
from rich.console import Console

from bayesgc.inference import Progress
from bayesgc.progress import LiveProgress, NotebookProgress, ProgressLines, watched

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


class Cell:
    """What a notebook keeps below a cell: the last frame of each display."""

    def __init__(self):
        self.frames = []

    def __call__(self, frame, *, raw, display_id):
        assert raw
        assert display_id
        self.frames.append(frame)
        return self

    def update(self, frame, *, raw):
        self.frames.append(frame)


def test_a_notebook_shows_the_bars_and_keeps_nothing(monkeypatch):
    cell, clock = Cell(), iter(range(10))
    monkeypatch.setattr("bayesgc.progress.time.monotonic", lambda: float(next(clock)))
    with NotebookProgress(cell) as live:
        for each in STAGES[:2]:
            live.update(each)
    shown = cell.frames[2]
    assert "ε 1.23e-05" in shown["text/plain"]
    assert shown["text/html"].startswith("<pre>")
    assert "accept 0.24" in shown["text/html"]
    assert "\x1b" not in shown["text/html"] + shown["text/plain"]
    assert shown["text/plain"].count("prior") == 1  # a frame is not put below the one before
    assert cell.frames[-1] == {"text/html": "", "text/plain": ""}


def test_frames_for_a_notebook_are_few(monkeypatch):
    cell = Cell()
    monkeypatch.setattr("bayesgc.progress.time.monotonic", lambda: 7.0)
    with NotebookProgress(cell) as live:
        for done in range(1000):
            live.update(Progress("islands", done, 1000))
    assert len(cell.frames) == 3


class Terminal(io.StringIO):
    def isatty(self):
        return True


def watching(monkeypatch, stream, wanted, report=None):
    """What is written to standard error while a run reports."""
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with watched(wanted, report) as tell:
        tell(STAGES[1])
    return stream.getvalue()


def test_progress_is_shown_where_somebody_sees_it(monkeypatch):
    assert "pilot" in watching(monkeypatch, Terminal(), None)
    assert not watching(monkeypatch, io.StringIO(), None)  # a file or a pipe
    assert not watching(monkeypatch, Terminal(), False)
    assert not watching(monkeypatch, io.StringIO(), True)


def test_a_report_takes_the_place_of_the_display_unless_both_are_wanted(monkeypatch):
    told = []
    assert not watching(monkeypatch, Terminal(), None, told.append)
    assert "pilot" in watching(monkeypatch, Terminal(), True, told.append)
    assert told == [STAGES[1]] * 2


def test_neither_other_threads_nor_children_draw_over_the_terminal(monkeypatch):
    stream = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr("bayesgc.progress.multiprocessing.parent_process", lambda: "a parent")
        assert not watching(patch, stream, None)
    thread = threading.Thread(target=watching, args=(monkeypatch, stream, None))
    thread.start()
    thread.join()
    assert not stream.getvalue()


def test_a_pipe_gets_a_line_a_stage_and_one_a_minute(monkeypatch):
    told, clock = [], iter([0.0, 1.0, 7.0, 8.0, 66.0, 67.5, 70.0, 75.0])
    monkeypatch.setattr("bayesgc.progress.time.monotonic", lambda: next(clock))
    lines = ProgressLines(told.append, "what runs")
    assert told == []  # a run may be refused yet
    for each in (*STAGES[:3], *([STAGES[2]] * 3), STAGES[3]):
        lines.update(each)
    islands = "ε 1.23e-05, accept 0.26, log P -113.9"
    assert told == [
        "what runs",
        "after 0:07: pilot, ε 1.23e-05, accept 0.24, log P -114.1",
        f"after 1:06: islands, {islands}",
        "after 1:15: gradient descent, 25 fitted",
    ]


def test_a_long_stage_says_how_much_is_done(monkeypatch):
    told, clock = [], iter([0.0, 10.0, 69.0, 70.0])
    monkeypatch.setattr("bayesgc.progress.time.monotonic", lambda: next(clock))
    lines = ProgressLines(told.append)
    for done in (1, 7, 8):
        lines.update(Progress("islands", done, 16))
    assert told == ["after 0:10: islands", "after 1:10: islands, 50 % done"]
