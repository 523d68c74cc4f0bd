"""`sweep`, `reproduce` and `claims`: what they print, how they end, what is in the store."""

from __future__ import annotations

import io
import json
import math
import re
import shutil
import sys
from pathlib import Path

import pytest
import xarray as xr
from rich.console import Console

import bayesgc as gc
from bayesgc.cli import sweep as sweep_module
from bayesgc.cli.sweep_tables import _counted, _tables
from bayesgc.experiments import forecast
from bayesgc.experiments.dataset import BETWEEN_FLAGS
from bayesgc.experiments.watch import SweepProgress, in_lines

FILE = """
title = "Small"
question = "Does it run?"

[options]
rows = 3
cols = 3
measurements = 5
eps = 0.01
normalize = false
method = "importance"
gd = false

[axes]
width = [4, 8]
task_seed = [1, 2]
"""

CHEAP = FILE.replace('"importance"', '"rejection"').replace("0.01", "0.1")
"""The same in a fifth of the time, where it is of no account how cells are made; the seeds of a task share draws."""


def written(folder: Path, text: str = FILE) -> Path:
    path = folder / "small.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return written(tmp_path)


@pytest.fixture(scope="module")
def run_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    gc.run_sweep(gc.Sweep.load(written(folder)), folder / "store", workers=1)
    return folder / "store"


@pytest.fixture
def finished(run_once: Path, tmp_path: Path) -> Path:
    """The sweep's cells, in a store of the test's own, from which a command takes them."""
    return shutil.copytree(run_once, tmp_path / "store")


def test_a_sweep_prints_one_object_and_fills_its_store(command, file, tmp_path):
    ended = command("sweep", file, "--out", "store", "--json", "--workers", 1, "--zarr")
    assert (ended.code, ended.err) == (0, "")
    found = json.loads(ended.out)
    assert (found["cells"], found["done"], found["failed"], found["flagged"]) == (4, 4, [], [])
    assert found["shared_draws"] is False
    for name in ("sweep.json", "sweep.nc", "figure.png", "figure.svg", "figure.pdf"):
        assert (tmp_path / "store" / name).stat().st_size > 100
    saved = xr.load_dataset(tmp_path / "store" / "sweep.nc", engine="h5netcdf")
    with xr.open_zarr(tmp_path / "store" / "sweep.zarr", consolidated=True) as zarr:
        assert (zarr["posterior_gen_loss"].values == saved["posterior_gen_loss"].values).all()
        assert list(zarr["outcome"].values.ravel()) == list(saved["outcome"].values.ravel())
    [cell, *_] = sorted((tmp_path / "store" / "cells").iterdir())
    assert command("show", cell, "--json").object["method"] == "importance"
    # The same command has nothing to do; another method is another sweep.
    assert json.loads(command("sweep", file, "--out", "store", "--json").out)["seconds"] == found["seconds"]
    refused = command("sweep", file, "--out", "store", "--method", "splitting")
    assert refused.code == 2
    assert "holds another sweep" in refused.err
    judged = json.loads(command("claims", "store", "--json").out)
    assert {claim["claim"] for claim in judged["claims"]} == {
        "width hurts",
        "wide nets are no better than the prior",
        "the limit of infinite width is reached",
        "infinitely wide nets are no better than the prior",
    }
    text = command("claims", "store").out
    assert "t-intervals over tasks" in text


def test_the_text_has_medians_and_what_to_know(command, file, finished):
    ended = command("sweep", file, "--out", "store", "--workers", 1)
    assert ended.code == 0
    for words in ("Small", "width", "G&C", "quartiles", "4 of 4 cells done, 0 failed, 0 flagged", "sweep.nc"):
        assert words in ended.out


COLUMNS = (
    *("posterior_gen_loss", "posterior_gen_loss_mcse", "prior_gen_loss", "gd_gen_loss", "zero_gen_loss"),
    "log_volume",
)


def shown_of(variables: dict[str, xr.DataArray]) -> dict[str, list[str]]:
    """The columns of the only table of a sweep of one width."""
    [table] = _tables(xr.Dataset(variables, {"width": [5]}))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(table)
    heading, _, *rows = (
        re.split(r"\s{2,}", line.strip()) for line in console.export_text().splitlines() if line.strip()
    )
    return {name: [row[place] for row in rows] for place, name in enumerate(heading)}


def test_a_median_over_some_of_the_tasks_says_so():
    some = xr.DataArray([[1.0, 2.0, math.nan, math.nan]], dims=("width", "task_seed"))
    shown = shown_of(dict.fromkeys(COLUMNS, some.fillna(3.0)) | {"gd_gen_loss": some, "log_volume": some * math.nan})
    assert (shown["G&C"], shown["GD end"], shown["log P(fit)"]) == (["2.5000"], ["1.5000 (2/4)"], ["-"])


def test_seeds_of_one_task_are_averaged_and_not_taken_for_tasks():
    losses = xr.DataArray([[[1.0, 3.0], [4.0, 4.0], [math.nan, 9.0]]], dims=("width", "task_seed", "seed"))
    shown = shown_of(dict.fromkeys(COLUMNS, losses))
    assert shown["G&C"] == ["4.0000"]  # of 2, 4 and 9; of all runs it would be 4 too, the quartiles not
    assert shown["quartiles"] == ["3.0000–6.5000"]


def test_text_of_the_user_is_no_markup(command, file, run_once, tmp_path, monkeypatch):
    text = FILE.replace("Small", "Small [/x]").replace("Does it run?", "Does [bold]it[/x]?")
    file.write_text(text + '\n[[panel]]\nname = "[/a] bayesgc[cluster]"\n', encoding="utf-8")
    assert "[/a] bayesgc[cluster]" in command("sweep", file, "--out", "store", "--dry-run").out

    def fails(job):
        raise ArithmeticError("[/c]; pip install bayesgc[cluster]")

    monkeypatch.setattr("bayesgc.experiments.jobs.CellJob.run", fails)
    ended = command("sweep", file, "--out", "store", "--workers", 1)
    for words in (
        "Small [/x]",
        "[bold]it[/x]",
        "[/a] bayesgc[cluster]",
        "[/c]; pip install bayesgc[cluster] (4 cells)",
    ):
        assert words in ended.out
    quiet = command("sweep", file, "--out", "store", "--workers", 1, "--quiet")
    failed = "bayesgc: every cell failed; store/failures says why.\n"
    assert (quiet.code, quiet.out, quiet.err) == (3, "", failed)
    assert ended.code == 3
    assert ended.err.endswith(failed)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    shutil.copytree(run_once / "cells", tmp_path / "store" / "cells", dirs_exist_ok=True)
    assert command("sweep", file, "--out", "store", "--workers", 1).code == 0
    assert "[/a] bayesgc[cluster]" in command("claims", "store").out


def test_a_flag_with_a_semicolon_is_one():
    reason = "gradient descent failed: it needs a gradient; turn it off"
    counted = _counted([{"reason": BETWEEN_FLAGS.join(["exhausted", reason])}, {"reason": reason}])
    assert counted == {"exhausted": 1, reason: 2}


def test_rejection_says_that_replicates_share_their_draws(command, file):
    text = FILE.replace('method = "importance"', 'method = "rejection"\nmax_evaluations = 20_000').replace(
        "0.01", "0.1"
    )
    file.write_text(text, encoding="utf-8")
    ended = command("sweep", file, "--out", "store", "--workers", 1)
    assert "share their draws" in ended.out


@pytest.mark.parametrize("name", ["fig1", "fig2"])
def test_a_dry_run_lists_the_cells_and_a_time_and_writes_nothing(command, tmp_path, monkeypatch, name):
    # How right the time is, is a matter of test_forecast.
    monkeypatch.setattr(forecast, "_TRIAL", gc.GradientDescent(steps=50, restarts=2))
    ended = command("reproduce", name, "--quick", "--out", "store", "--dry-run", "--json", "--workers", 2)
    found = json.loads(ended.out)
    assert len(found["cells"]) == 18
    assert 0 < found["seconds"] == pytest.approx(found["core_seconds"] / 2, abs=0.1)
    assert not (tmp_path / "store").exists()
    text = command("reproduce", name, "--quick", "--out", "store", "--dry-run").out
    assert "leaky-relu" in text
    assert "18 cells" in text


def test_a_quiet_dry_run_says_only_what_is_wrong(command, file):
    for options in ([], ["--method", "splitting"]):
        ended = command("sweep", file, "--out", "store", "--dry-run", "--quiet", *options)
        assert (ended.code, ended.out, ended.err) == (0, "", "")
    ended = command("sweep", file, "--out", "store", "--dry-run", "--quiet", "--method", "gibbs")
    assert (ended.code, ended.out) == (2, "")


def test_all_figures_have_a_folder_each(command, tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_module, "FIGURES", ["fig1", "fig3"])
    small = gc.Sweep.load(written(tmp_path, CHEAP.replace("[1, 2]", "[1]")))
    monkeypatch.setattr(sweep_module, "figure", lambda name, quick: small.with_options(seed=int(name[3:]) % 2))
    found = json.loads(command("reproduce", "all", "--out", "store", "--json", "--workers", 1).out)
    assert [Path(each["store"]).name for each in found["sweeps"]] == ["fig1", "fig3"]
    # They are the same cells, so the second takes those of the first.
    names = [sorted(path.name for path in (tmp_path / "store" / name / "cells").iterdir()) for name in ("fig1", "fig3")]
    assert names[0] == names[1]


STUDY = """
title = "Small"
question = "does it run?"
one-axis = true

[options]
rows = 3
cols = 3
measurements = 5
eps = 0.02
gd = false
method = "rejection"
max-evaluations = 50_000

[axes]
task-seed = [0, 1, 2, 3]

[[part]]
name = "width-3"
options = {width = 3}
axes = {depth = [3]}

[[part]]
name = "width-6"
options = {width = 6}
axes = {depth = [6]}
"""


def test_a_study_in_parts_has_a_folder_for_each_and_one_picture(command, tmp_path):
    (tmp_path / "mine.toml").write_text(STUDY, encoding="utf-8")
    ended = command("study", "mine.toml", "--out", "store", "--quick", "--json", "--workers", 1)
    assert (ended.code, ended.err) == (0, "")
    assert [each["done"] for each in json.loads(ended.out)["sweeps"]] == [3, 3]
    for name in ("figure.png", "width-3/figure.png", "width-6/sweep.nc"):
        assert (tmp_path / "store" / name).stat().st_size > 100
    [claim] = json.loads(command("claims", "store", "--json").out)["claims"]
    assert claim["claim"] == "depth over width is the one axis"
    text = command("study", "mine.toml", "--out", "store", "--quick", "--workers", 1).out
    assert [line for line in text.splitlines() if "judges" in line] == [
        "In store: figure.png, figure.svg, figure.pdf. `bayesgc claims store` judges it."
    ]
    assert "In store/width-3: sweep.nc" in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sweep", "none.toml", "--out", "store"], "none.toml cannot be read"),
        (["sweep", "small.toml"], "--out"),
        (["reproduce", "fig12", "--out", "store"], "choose one of fig1"),
        (["reproduce", "fig1", "--out", "store", "--workers", 0, "--dry-run"], "--workers is 0"),
        (["reproduce", "fig1", "--out", "store", "--method", "gibbs", "--dry-run"], "method is 'gibbs'"),
        (["reproduce", "fig2", "--out", "store", "--method", "nuts", "--dry-run"], "task_seed = 0: nuts"),
        (["claims", "none"], "is not a store"),
        (["sweep", "small.toml", "--out", "small.toml/store"], "Cannot write"),
        (["sweep", "small.toml", "--out", "store", "--scheduler", "tcp://127.0.0.1:9"], "no Dask scheduler answers"),
    ],
)
def test_what_is_wrong_ends_in_one_line(command, file, monkeypatch, arguments, said):
    monkeypatch.setattr("bayesgc.experiments.runners._PATIENCE", 1.0)
    ended = command(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1


def test_ctrl_c_leaves_a_store_that_can_be_resumed(command, file, tmp_path, monkeypatch):
    plain = sweep_module.run_sweep

    def interrupted(*arguments, **options):
        def stop(state):
            if state.done == 2:
                raise KeyboardInterrupt

        return plain(*arguments, **options | {"report": stop})

    monkeypatch.setattr(sweep_module, "run_sweep", interrupted)
    ended = command("sweep", file, "--out", "store", "--workers", 1)
    assert (ended.code, ended.out) == (130, "")
    assert "what was finished is in store: run it again to go on" in ended.err
    saved = xr.load_dataset(tmp_path / "store" / "sweep.nc", engine="h5netcdf")
    assert sorted(saved["outcome"].values.ravel()) == ["", "", "converged", "converged"]
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert json.loads(command("sweep", file, "--out", "store", "--workers", 1, "--json").out)["done"] == 4


def test_where_no_bar_can_move_a_line_says_what_runs_and_how_far_it_is(command, file, monkeypatch):
    file.write_text(CHEAP, encoding="utf-8")
    told = command("sweep", file, "--out", "store", "--workers", 1)
    opening = "bayesgc: Small: 4 cells; Ctrl-C ends it: what is finished stays in store, where the same command goes on"
    assert told.err.splitlines()[0] == opening
    for option in ("--quiet", "--json"):
        Path(option).mkdir()  # a store beside the first one would take its cells
        assert "Ctrl-C" not in command("sweep", file, "--out", f"{option}/store", "--workers", 1, option).err
    assert "Ctrl-C" not in command("sweep", file, "--out", "store", "--dry-run").err
    # Whatever is refused before a job begins says why, and nothing else.
    lines, clock = [], iter([0.0, 1.0, 30.0, 95.0])
    monkeypatch.setattr("bayesgc.progress.time.monotonic", lambda: next(clock))
    report = in_lines(lines.append, "what runs")
    report(SweepProgress(total=8))
    assert lines == []
    for done in (0, 1, 2):
        report(SweepProgress(total=8, done=done, failed=1, running=["depth 3"]))
    assert lines == [
        "what runs",
        "after 0:30: cells and descents, 2 of 8 done, 1 failed, 1 running: depth 3",
        "after 1:35: cells and descents, 3 of 8 done, 1 failed, 1 running: depth 3",
    ]


def test_a_file_that_is_missing_is_named_before_an_option_that_is(command, file):
    assert "none.toml cannot be read" in command("sweep", "none.toml").err
    assert "Missing option '--out'" in command("sweep", file).err
    file.write_text("title = 3", encoding="utf-8")
    assert "title" in command("sweep", file).err


def test_progress_is_drawn_over_the_whole_sweep():
    from rich.console import Console

    from bayesgc.experiments.watch import SweepProgress, watched

    console = Console(force_terminal=True, width=100, record=True, file=sys.stderr)
    with watched("Small [/x]", console=console) as report:
        report(SweepProgress(total=4, done=1, failed=1, running=["prior [/y]"]))
    text = console.export_text()
    for words in ("Small [/x]", "2/4", "1 failed", "1 running: prior [/y]"):
        assert words in text
