"""What `infer`, `show` and `list` print: one valid JSON object, or a text that holds the same."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import numpy as np
import pytest

import bayesgc as gc

# Loose thresholds and few steps: these tests are about the object, not about its numbers.
FAST = ("--method", "rejection", "--eps", 0.05)
QUICK = (*FAST, "--gd-steps", 200, "--restarts", 4)
QUICK_NO_GD = (*FAST, "--no-gd")


@pytest.mark.parametrize(
    "options",
    [
        ("--eps", 0.05, "--gd-steps", 200),
        ("--eps", 0.05, "--no-gd", "--chains", 2),
        ("--eps", 0.05, "--no-gd", "--activation", "relu", "--width", 2),
        QUICK,
        QUICK_NO_GD,
        (*QUICK, "--activation", "relu", "--depth", 3),
        (*QUICK, "--prior", "uniform", "--scaling", "fan-in"),
        (*QUICK_NO_GD, "--task", "completion", "--rank", 2),
        (*QUICK_NO_GD, "--rows", 3, "--cols", 7),
        (*QUICK_NO_GD, "--rows", 1, "--cols", 6),
        (*QUICK_NO_GD, "--measurements", 1),
        ("--eps", 1000, "--gd-steps", 10),
        ("--eps", "150%", "--no-gd"),
        (*QUICK_NO_GD, "--width", 160, "--draws", 50),
        (*QUICK_NO_GD, "--depth", 1),
        (*QUICK, "--shape", "3x4x2", "--measurements", 6),
        (*QUICK_NO_GD, "--shape", "3x4x2", "--measurements", 6, "--family", "tensor-train", "--depth", 3, "--weights"),
        (*QUICK_NO_GD, "--dtype", "float64"),
        (*QUICK_NO_GD, "--chains", 1),
        (*QUICK_NO_GD, "--seed", 2**70, "--task-seed", 2**70),
        (*QUICK, "--restarts", 1),
        (*QUICK, "--gd-init", "prior"),
        *((*QUICK, "--gd-optimizer", name) for name in ("group-rmsprop", "gd", "momentum", "adam")),
    ],
)
def test_one_valid_object_that_show_repeats(command, options):
    ended = command("infer", "--json", "--out", "run.nc", *options)
    found = ended.object
    assert (ended.code, found["outcome"]) == (0, "converged")
    assert ended.err == "bayesgc: saved in run.nc\n"
    assert found["posterior"]["gen_loss"]["mcse"] > 0
    assert (found["gd"] is None) == ("--no-gd" in options)
    again = command("show", "run.nc", "--json")
    assert (again.code, again.out, again.err) == (0, ended.out, "")


def test_nothing_accepted_leaves_a_bound_and_advice(command):
    ended = command("infer", "--json", "--eps", 1e-9, "--method", "rejection", "--max-evaluations", 20_000, "--no-gd")
    found = ended.object
    assert (ended.code, found["outcome"], found["posterior"]) == (3, "exhausted", None)
    assert found["log_volume"]["estimate"] is None
    low, high = found["log_volume"]["ci95"]
    # Clopper and Pearson (1934): none of N accepted bounds the share by 1 − 0.025^(1/N), N ≤ 20 000.
    assert low is None
    assert high >= math.log(-math.expm1(math.log(0.025) / 20_000))
    assert "--max-seconds" in found["message"]
    assert "--max-seconds" in ended.err
    [saved] = Path().glob("sensing-5x5-depth2-*.nc")
    text = command("show", saved)
    assert text.code == 0
    assert "--max-seconds" in text.out


def test_a_splitting_run_that_falls_short(command):
    ended = command("infer", "--json", "--eps", 1e-9, "--max-evaluations", 300_000, "--no-gd")
    found = ended.object
    assert (ended.code, found["outcome"], found["posterior"]) == (3, "exhausted", None)
    assert found["log_volume"]["estimate"] is None
    assert found["log_volume"]["ci95"][0] is None
    assert found["log_volume"]["ci95"][1] < 0


def test_very_deep_products_neither_vanish_nor_overflow(command):
    options = ("--draws", 20, "--chains", 4, "--max-evaluations", 1, "--method", "rejection")
    found = command("infer", "--json", "--depth", 1000, "--no-gd", *options).object
    # The end-to-end matrix lies on the sphere, and so deep a product has rank one for all practical purposes.
    assert found["prior"]["effective_rank"]["mean"] == pytest.approx(1, abs=0.01)


def test_nothing_held_out_has_no_generalisation(command):
    found = command("infer", "--json", "--measurements", 25, *QUICK).object
    assert found["task"]["held_out"] == 0
    assert found["posterior"]["gen_loss"] is None
    assert found["gd"]["gen_loss"] is None
    assert found["baselines"]["zero"]["gen_loss"] is None


@pytest.fixture
def table(tmp_path):
    generator = np.random.default_rng(0)
    values = 100 + 30 * np.outer(generator.normal(size=6), generator.normal(size=5))
    rows = ["salt", "sugar [x]", "köln", "[bold]red", "pepper", "tea"]
    lines = ["product,jan,feb,mar,apr,may"]
    for i, row in enumerate(rows):
        lines.append(",".join([row, *("" if (i + 2 * j) % 5 == 0 else f"{values[i, j]:.2f}" for j in range(5))]))
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "table.csv"


def test_a_table_with_missing_cells(command, table):
    ended = command("infer", "--json", "--data", table, "--eps", "60%", "--gd-steps", 500)
    found = ended.object
    assert ended.code == 0
    assert found["model"]["normalize"] is False
    assert found["posterior"]["gen_loss"] is None
    cells = {(cell["row"], cell["col"]) for cell in found["unobserved"]}
    assert ("salt", "jan") in cells
    assert len(cells) == 6
    for cell in found["unobserved"]:
        assert cell["q05"] < cell["mean"] < cell["q95"]
        assert -100 < cell["mean"] < 300  # the table's own units, not standardised ones
    text = command("show", "table-depth2-eps60pct-seed0.nc").out
    for word in ("sugar [x]", "[bold]red", "köln", "truth unknown"):
        assert word in text


def test_the_text_holds_what_the_object_holds(command):
    ended = command("infer", *QUICK)
    assert ended.code == 0
    assert all(line.endswith("found") or line.startswith("bayesgc: after ") for line in ended.err.splitlines())
    for word in ("G&C posterior", "GD", "least squares", "log P(fit)", "Saved in sensing-5x5"):
        assert word in ended.out
    assert "\x1b" not in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80


def test_quiet_prints_nothing_and_saves(command, tmp_path):
    ended = command("infer", "--quiet", *QUICK_NO_GD)
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert [path.name for path in tmp_path.iterdir()] == ["sensing-5x5-depth2-eps0.05-rejection-seed0.nc"]
    loud = command("infer", "--quiet", "--json", *QUICK_NO_GD)
    assert loud.object["outcome"] == "converged"
    assert loud.err == ""


def test_a_new_file_for_every_run(command, tmp_path):
    for _ in range(3):
        assert command("infer", "--quiet", "--task", "completion", *QUICK_NO_GD).code == 0
    stem = "completion-5x5-depth2-eps0.05-rejection-seed0"
    assert {path.name for path in tmp_path.iterdir()} == {f"{stem}.nc", f"{stem}-2.nc", f"{stem}-3.nc"}


def test_draws_chains_and_weights_are_kept(command):
    options = ("--draws", 10, "--weights", "--depth", 3, "--width", 6)
    assert command("infer", "--quiet", "--out", "run.nc", *QUICK_NO_GD, *options, "--method", "splitting").code == 0
    posterior = gc.load_result("run.nc")["posterior"]
    assert posterior.sizes["chain"] % 16 == 0
    assert posterior.sizes["draw"] == 10
    weights = [name for name in posterior.data_vars if posterior[name].ndim == 4 and name != "end_to_end"]
    assert len(weights) == 3


def test_plots(command, tmp_path):
    def starts_with(plot, magic):
        return (tmp_path / plot).read_bytes()[:200].startswith(magic)

    assert command("infer", "--quiet", "--out", "run.nc", "--plot", "plot.png", *QUICK).code == 0
    assert starts_with("plot.png", b"\x89PNG")
    for plot, magic in (("plot.svg", b"<?xml"), ("plot.pdf", b"%PDF")):
        assert command("show", "run.nc", "--plot", plot).code == 0
        assert starts_with(plot, magic)


def test_plot_of_a_run_that_found_nothing(command, tmp_path):
    short = ("--eps", 1e-9, "--max-evaluations", 50_000, "--no-gd")
    assert command("infer", "--quiet", "--plot", "plot.png", *short).code == 3
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_list_names_what_options_take(command):
    found = json.loads(command("list", "--json").out)
    assert set(found["activation"]) == {"linear", "tanh", "leaky-relu", "relu"}
    assert {"gaussian", "uniform"} <= set(found["prior"])
    assert {"splitting", "rejection"} <= set(found["method"])
    text = command("list")
    assert text.code == 0
    assert all(name in text.out for names in found.values() for name in names)


def test_a_pipe_is_told_at_once_what_runs_and_how_long_it_may_take(command):
    ended = command("infer", *QUICK_NO_GD, "--max-seconds", 100, "--max-evaluations", 10**7)
    first = ended.err.splitlines()[0]
    assert first == (
        "bayesgc: sensing 5×5, 15 measurements, seed 0; matrix-factorization, depth 2, width 5, linear, "
        "prior gaussian, fan-out, normalized; method rejection; takes at most 100 s (--max-seconds) beside "
        "start-up or 10000000 evaluations; Ctrl-C ends it with what was found"
    )
    assert first not in ended.out


@pytest.mark.parametrize("option", ["--quiet", "--json"])
def test_neither_quiet_nor_json_says_what_runs(command, option):
    ended = command("infer", option, *QUICK_NO_GD, "--out", "run.nc")
    assert "Ctrl-C" not in ended.err


def test_of_a_large_file_it_is_said_how_it_would_be_smaller(command, monkeypatch):
    quick = ("--method", "rejection", "--eps", "60%", "--no-gd", "--no-map", "--chains", 2, "--draws", 30)
    assert "fewer with --draws" not in command("infer", *quick, "--out", "small.nc").out
    monkeypatch.setattr("bayesgc.cli.session._LARGE", 10e3)
    told = " ".join(command("infer", *quick, "--out", "large.nc").out.split())
    assert re.search(r"Saved in large\.nc \(\d+ kB; 30 draws in each chain, fewer with --draws\)", told)
