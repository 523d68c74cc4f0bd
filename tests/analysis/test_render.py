from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from records_for_tests import descent, mode, sensing_task, table_task, tree
from rich.console import Console

from bayesgc.analysis.tree.datatree import save
from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.words.numerals import rounded, with_error
from bayesgc.analysis.words.sentences import volume_lines
from bayesgc.analysis.words.wording import task_line
from bayesgc.cli.render import print_result
from bayesgc.cli.show import show
from bayesgc.inference.records import Outcome
from bayesgc.validate import InputError


def text_of(result: dict[str, Any], **options: Any) -> str:
    stream = io.StringIO()
    print_result(Console(file=stream, width=80), result, **options)
    return stream.getvalue()


def test_every_law_and_reference_point_is_shown_with_its_error() -> None:
    result = result_object(tree())
    text = text_of(result, saved="run.nc")
    for law in ("prior", "posterior"):
        summary = result[law]["gen_loss"]
        assert with_error(summary["mean"], summary["mcse"]) in text
    for words in (
        "sensing 4×3, rank 1, 7 measurements, 5 held out, task seed 1",
        "depth 8, width 5, linear",
        "splitting, ε = 0.0035",
        "converged in 5.0 s",
        "G&C posterior",
        "12/12 fitted",
        "nuclear norm",
        "chance",
        "log P(fit) = -8.400 ± 0.080, 95 % [-8.57, -8.23]: one in 4 400 prior draws fits",
        "Saved in run.nc",
    ):
        assert words in text
    assert " ".join(result["verdict"].split()) in " ".join(text.split())


def test_the_mode_is_shown_by_its_most_probable_restart() -> None:
    result = result_object(tree(mode=mode(sensing_task(), converged=3)))
    text = text_of(result)
    assert "MAP, best" in text
    assert "3/12 fitted" in text
    assert rounded(result["map"]["best"]["gen_loss"]) in text
    assert "MAP, best" in text_of(result_object(tree(mode=mode(sensing_task(), converged=0))))
    assert "MAP, best" not in text_of(result_object(tree()))


def test_why_rows_are_missing_stands_below_the_table() -> None:
    reasons = {"map": "a normalised output has no mode", "gd": "it was turned off", "nuclear_norm": "time was up"}
    text = text_of(result_object(tree(with_gd=False, references={}, reasons=reasons)))
    for line in (
        "No MAP: a normalised output has no mode",
        "No gradient descent: it was turned off",
        "No nuclear norm: time was up",
    ):
        assert line in text.splitlines()


def test_what_the_deadline_cut_short_is_there_and_said_once() -> None:
    reasons = {"gd": "`max_seconds=40` stopped it after 569 steps", "nuclear_norm": "time was up", "gd_at_eps": "none"}
    lines = text_of(result_object(tree(reasons=reasons))).splitlines()
    assert len([line for line in lines if line.startswith("Gradient descent: ") and "569" in line]) == 1
    assert sum("569" in line for line in lines) == 1
    assert "Nuclear norm: time was up." in lines
    assert not any(line.startswith("No ") for line in lines)


@pytest.mark.parametrize("task", [sensing_task(), table_task()])
def test_a_pipe_gets_plain_text_of_at_most_80_columns(task: Any) -> None:
    text = text_of(result_object(tree(task, mode=mode(task))))
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


def test_unknown_truth_lists_the_missing_cells_and_drops_what_is_not_known() -> None:
    result = result_object(tree(table_task()))
    text = text_of(result)
    assert "L_gen" not in text
    assert "truth unknown" in text
    assert all(word in text for word in ("Ada", "age", "Dé", "mass"))
    assert "Missing cells, in the table's units, with 90 % intervals of the value as it would be measured" in " ".join(
        text.split()
    )
    result["unobserved"] = result["unobserved"] * 5
    assert "… and 5 more" in text_of(result)


def test_labels_are_no_markup() -> None:
    result = result_object(tree(table_task()))
    result["unobserved"][0]["row"] = "[red]Ada[/red]"
    assert "[red]Ada[/red]" in text_of(result)


def test_labels_stay_on_one_line_and_move_no_cursor() -> None:
    result = result_object(tree(table_task()))
    result["unobserved"][0]["row"] = "two\nlines\t\x1b[31m"
    assert "two lines  [31m" in text_of(result)


def test_a_volume_without_a_bound_has_no_line() -> None:
    def lines(bound: float) -> list[str]:
        volume = {"estimate": None, "ci95": [None, bound]}
        return [*volume_lines({"log_evidence": None, "log_volume": volume, "reached": None})]

    assert lines(0.0) == []
    assert lines(-12.0) == ["log P(fit) < -12.00 (95 %): fewer than one in 160 000 prior draws fits"]


def test_a_threshold_that_most_draws_pass_is_called_loose() -> None:
    def line(volume: float) -> str:
        found = {"estimate": volume, "mcse": 0.01, "ci95": [volume - 0.02, volume + 0.02]}
        [said] = volume_lines({"log_evidence": None, "log_volume": found, "reached": None})
        return said

    assert line(-0.1).endswith("; so loose an ε hardly asks for a fit")
    assert "loose" not in line(-1.0)


def test_what_did_not_work_is_said() -> None:
    result = result_object(tree(accepted=False, outcome=Outcome.EXHAUSTED))
    text = text_of(result)
    assert "none found" in text
    assert "log P(fit) < -12.00 (95 %): fewer than one in 160 000 prior draws fits" in text
    assert "`max_evaluations`" in text
    unfitted = text_of(result_object(tree(gd=descent(sensing_task(), 0.01, converged=0))))
    assert "0/12 fitted" in unfitted
    assert "gradient descent" not in text_of(result_object(tree(with_gd=False, references={})))


def test_show_prints_the_saved_result_as_text_json_and_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = tree()
    path = save(result, tmp_path / "run.nc")
    show(path, as_json=True, plot=tmp_path / "run.png")
    assert json.loads(capsys.readouterr().out) == result_object(result)
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")
    stream = io.StringIO()
    show(path, console=Console(file=stream, width=80))
    assert stream.getvalue() == text_of(result_object(result))
    with pytest.raises(InputError, match="is a folder and is not a file; give a result's"):
        show(tmp_path)
    with pytest.raises(InputError, match="is not a file"):
        show(tmp_path / "absent.nc")


@pytest.mark.parametrize(
    "looking", ["show(path)", "print_comparison([path, other], delta=None)", "print_diagnosis(path)"]
)
def test_looking_at_a_result_needs_no_torch(tmp_path: Path, looking: str) -> None:
    path, other = (save(tree(), tmp_path / f"{name}.nc") for name in ("run", "other"))
    script = (
        "import sys; from pathlib import Path; from bayesgc.cli.show import print_comparison, print_diagnosis, show; "
        f"path, other = map(Path, sys.argv[1:]); {looking}; sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script, str(path), str(other)], check=True, capture_output=True)


def test_how_a_table_was_read_can_be_read() -> None:
    task = {"kind": "data", "shape": [3, 2], "held_out": 1, "truth_known": False, "file": "t.csv"}
    read = {"separator": ";", "decimal": ",", "missing": "x,-999", "columns": "a,b"}
    assert task_line(task | read) == (
        "data 3×2, file t.csv, cells separated by ';', decimal comma, missing cells marked 'x,-999', columns 'a,b', "
        "1 held out, truth unknown"
    )
    # Of a table what is not observed is missing; where the truth is known, it is held out to test on.
    seen = task | {"standardize": True, "measurements": 5}
    assert task_line(seen).endswith("standardised, 5 observed cells, 1 missing, truth unknown")
    assert task_line(seen | {"truth_known": True}).endswith("standardised, 5 measurements, 1 held out")
    assert "cells separated by tab, " in task_line(task | {"separator": "tab"})
