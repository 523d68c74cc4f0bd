"""`--completed`: refused at once where there are no cells to fill in, and no hindrance to other files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bayesgc.validate import InputError

FAST = ("--method", "rejection", "--eps", "99%", "--draws", 4, "--hide", 0, "--no-gd", "--no-map", "--quiet")


@pytest.fixture
def idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """No run begins."""

    def begin(*_, **__):
        raise AssertionError("a run began")

    monkeypatch.setattr("bayesgc.cli.session.infer", begin)


@pytest.mark.parametrize("kind", ["examples", "measurements"])
def test_tasks_without_cells_are_refused_before_the_run(command, idle, kind: str) -> None:
    Path("e.csv").write_text("u,v,y\n" + "".join(f"{i},{i % 3},{i + 0.5}\n" for i in range(8)), encoding="utf-8")
    source = np.random.default_rng(0)
    np.savez("m.npz", A=source.normal(size=(5, 3, 3)), y=source.normal(size=5))
    options = {"examples": ("--data", "e.csv", "--target", "y"), "measurements": ("--data", "m.npz")}[kind]
    ended = command("infer", *options, "--completed", "o.csv", *FAST[-3:])
    assert (ended.code, ended.out) == (2, "")
    assert "--completed is 'o.csv', a table filled in; this task has no cells to fill in" in ended.err


def test_where_one_file_fails_the_others_are_written(command, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("t.csv").write_text("a,b\n1,2\n2,\n3,5\n4,7\n", encoding="utf-8")
    drawn = []

    def full(*_):
        raise InputError("no space is left.")

    monkeypatch.setattr("bayesgc.analysis.completed.completed_text", full)
    monkeypatch.setattr("bayesgc.analysis.plots.plot_result", lambda _: "a figure")
    monkeypatch.setattr("bayesgc.analysis.plots.save_figure", lambda *each: drawn.append(each))
    ended = command("infer", "--data", "t.csv", "--completed", "o.csv", "--plot", "p.png", "--out", "r.nc", *FAST)
    assert ended.code == 2
    assert "no space is left" in ended.err
    assert Path("r.nc").exists()
    assert drawn == [("a figure", Path("p.png"))]


def test_the_report_runs_again_what_was_typed(command) -> None:
    Path("own").mkdir()
    Path("own/t.csv").write_text("a,b\n1,2\n2,\n3,5\n4,7\n", encoding="utf-8")
    options = ("--data", "own/t.csv", "--completed", "o.csv", *FAST, "--max-evaluations", 20_000)
    command("infer", *options, "--out", "r.nc")
    command("report", "r.nc")
    page = Path("r.html").read_text(encoding="utf-8")
    [words] = [line for line in page.splitlines() if "bayesgc infer" in line]
    for option in ("--data own/t.csv", "--completed o.csv", "--eps 99%", "--hide 0", "--max-evaluations 20000"):
        assert option in words


def test_the_suffix_of_the_file_says_what_separates_its_cells(command) -> None:
    Path("t.csv").write_text("a,b\n1,2\n2,\n3,5\n4,7\n", encoding="utf-8")
    command("infer", "--data", "t.csv", "--completed", "o.tsv", "--out", "r.nc", *FAST)
    assert Path("o.tsv").read_text(encoding="utf-8").startswith("a\tb\tb_low\tb_high\n1.0\t2.0\t\t\n")
    refused = command("infer", "--data", "t.csv", "--completed", "o.txt", "--out", "r.nc", *FAST)
    assert "its name must end in .csv or .tsv" in refused.err


def test_a_tiny_table_is_doubted_at_once(command) -> None:
    Path("t.csv").write_text("a,b,c\n1,,2\n,3,\n4,,5\n", encoding="utf-8")
    words = "bayesgc: only 5 cells are observed: predictions from so few say more of the prior than of the table.\n"
    assert words in command("infer", "--data", "t.csv", *FAST[:-1]).err
    assert words not in command("infer", "--data", "t.csv", *FAST).err


def test_a_norm_of_one_is_doubted_where_the_table_is_larger(command) -> None:
    """A standardised table has the norm of the root of its columns; of smaller numbers there is no word."""
    Path("t.csv").write_text("a,b\n1,\n-1,3\n2,-4\n,1\n", encoding="utf-8")
    Path("small.csv").write_text("a,b\n.1,\n-.1,.3\n.2,-.4\n,.1\n", encoding="utf-8")
    words = "--normalize gives every matrix the norm 1, and the observed cells have 1.2: it fits far less of the table"
    fast = FAST[:-1]
    assert words in command("infer", "--data", "t.csv", "--normalize", *fast).err
    assert "the norm 1" not in command("infer", "--data", "t.csv", *fast).err
    Path("large.csv").write_text("a,b\n100,\n-10,30\n20,-40\n,10\n", encoding="utf-8")
    Path("near.csv").write_text("a,b\n1,\n-.1,.2\n.1,-.2\n,.1\n", encoding="utf-8")
    plain = ("--no-standardize", "--normalize", *fast)
    assert "observed cells have 114: " in command("infer", "--data", "large.csv", *plain).err
    assert "the norm 1" not in command("infer", "--data", "near.csv", *plain).err  # 1.05
    assert "the norm 1" not in command("infer", "--data", "small.csv", "--no-standardize", "--normalize", *fast).err
