"""Whatever is wrong with what the user gives: exit 2, nothing on standard output, one clear line on standard error."""

from __future__ import annotations

import errno
import os
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

QUICK = ("--no-gd", "--max-evaluations", 20_000)  # what a command that should have been refused costs


def assert_refused(ended, *words, begun=False):
    """One line; before it the one that says what runs, where it takes a run to find out."""
    assert ended.code == 2
    assert ended.out == ""
    opening, error = ended.err.splitlines(keepends=True) if begun else ("", ended.err)
    assert ("Ctrl-C" in opening) is begun
    assert error.startswith("bayesgc: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    for word in words:
        assert str(word) in error


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--depth", 0, "at least 1"),
        ("--depth", "abc", "whole number"),
        ("--depth", 2.5, "whole number"),
        ("--width", 0, "at least 1"),
        ("--draws", 0, "at least 1"),
        ("--chains", 0, "at least"),
        ("--rows", 0, "at least 1"),
        ("--cols", -1, "at least 1"),
        ("--rank", 6, "from 1 to 5"),
        ("--rank", 0, "from 1 to 5"),
        ("--measurements", 26, "from 1 to 25"),
        ("--measurements", 0, "from 1 to 25"),
        ("--shape", "4", "as 4x4x4"),
        ("--shape", "4x0x4", "each at least 1"),
        ("--shape", "4x-1x4", "each at least 1"),
        ("--shape", "axb", "as 4x4x4"),
        ("--family", "tucker", "matrix, cp, tensor-train"),
        ("--seed", -1, "at least 0"),
        ("--seed", "x", "whole number"),
        ("--task-seed", -1, "at least 0"),
        ("--eps", -1, "5%"),
        ("--eps", "nan", "5%"),
        ("--eps", "inf", "5%"),
        ("--eps", "abc", "5%"),
        ("--eps", "5%%", "5%"),
        ("--eps", "-5%", "5%"),
        ("--eps", 0, "0.01%"),
        ("--precision", 0, "greater than 0"),
        ("--precision", "nan", "greater than 0"),
        ("--precision", "x", "number"),
        ("--max-seconds", 0, "greater than 0"),
        ("--max-seconds", "nan", "greater than 0"),
        ("--max-evaluations", 0, "at least 1"),
        ("--device", "tpu", "cpu"),
        ("--device", "cuda:99", "cpu"),
        ("--dtype", "float16", "float32, float64"),
        ("--activation", "sigmoid", "linear, tanh, leaky-relu, relu"),
        ("--prior", "cauchy", "gaussian, uniform"),
        ("--prior", "gaussian:sd=1", "mean"),
        ("--prior", "gaussian:mean=inf", "finite number"),
        ("--scaling", "big", "fan-out, fan-in, kaiming, unit"),
        ("--task", "tensor", "sensing, completion"),
        ("--method", "gibbs", "splitting"),
        ("--out", "result.txt", ".nc"),
        ("--out", "no/such/folder/result.nc", "does not exist"),
        ("--plot", "result.gif", ".png"),
        ("--completed", "filled.csv", "there is no --data"),
        ("--plot", "no/such/folder/result.png", "does not exist"),
    ],
)
def test_a_value_is_named_with_what_is_allowed(command, option, value, said):
    refused = command("infer", *QUICK, option, value)
    assert_refused(refused, str(value).split("=")[-1], said, option.strip("-").split("-")[-1])


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--gd-optimizer", "lion", "group-rmsprop, gd, momentum, adam"),
        ("--gd-init", "zero", "small, prior"),
        ("--gd-lr", 0, "greater than 0"),
        ("--gd-lr", "nan", "greater than 0"),
        ("--gd-steps", 0, "at least 1"),
        ("--gd-tol", -1, "at least 0"),
        ("--gd-init-scale", 0, "greater than 0"),
        ("--gd-momentum", 2, "at least 0"),
        ("--restarts", 0, "at least 1"),
    ],
)
def test_a_value_of_gradient_descent_is_refused_before_any_work(command, option, value, said):
    assert_refused(command("infer", option, value, "--max-evaluations", 20_000), value, said)


@pytest.mark.skipif("sys.modules['torch'].cuda.is_available()", reason="this machine has the device")
def test_a_device_that_is_absent(command):
    assert_refused(command("infer", "--device", "cuda", *QUICK), "'cuda'", "auto, cpu")
    assert_refused(command("infer", "--device", "mps", *QUICK), "'mps'", "auto, cpu")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["infer", "--bogus"], "--bogus"),
        (["infer", "--depth"], "--depth"),
        (["infer", "extra"], "extra"),
        (["bogus"], "infer, show, compare"),
        (["--depth", "8"], "--depth"),
        (["show"], "bayesgc show --help"),
        (["show", "missing.nc"], "missing.nc"),
        (["show", "."], "not a file"),
        (["list", "extra"], "extra"),
    ],
)
def test_wrong_usage(command, arguments, said):
    assert_refused(command(*arguments), said)


def sound():
    generator = np.random.default_rng(0)
    stack, truth = generator.normal(size=(15, 5, 5)), generator.normal(size=(5, 5))
    return {"A": stack, "y": np.einsum("nij,ij->n", stack, truth), "truth": truth}


def damaged_files():
    """Name → how to write it, and what the message must say."""
    arrays = sound()

    def archive(**changes):
        return lambda path: np.savez(path, **(arrays | changes))

    def text(content):
        return lambda path: path.write_text(content, encoding="utf-8")

    def truncated(path):
        np.savez(path, **arrays)
        path.write_bytes(path.read_bytes()[:700])

    return {
        "missing.npz": (lambda path: None, "cannot be read"),
        "missing.csv": (lambda path: None, "cannot be read"),
        "folder.npz": (lambda path: path.mkdir(), "cannot be read"),
        "truncated.npz": (truncated, "truncated"),
        "pickled.npz": (lambda path: path.write_bytes(pickle.dumps(arrays)), "not an .npz"),
        "objects.npz": (archive(A=np.array([None] * 3)), "pickled"),
        "shapes.npz": (archive(y=arrays["y"][:4]), "(15,)"),
        "many.npz": (archive(A=np.ones((30, 5, 5)), y=np.ones(30)), "at most 25"),
        "nan.npz": (archive(y=np.full(15, np.nan)), "y[0] is nan"),
        "unknown.txt": (text("1"), ".npz, .nc, .npy, .csv"),
        "text.csv": (text("a,b\n1,foo\n2,\n"), "line 2, column 'b' holds 'foo'"),
        "ragged.csv": (text("a,b,c\n1,2\n4,5,\n"), "line 2 has 2 cells"),
        "full.csv": (text("a,b\n1,2\n3,4\n"), "no cell is empty"),
        "infinite.csv": (text("a,b\n1,inf\n2,\n"), "line 2, column 'b'"),
        "empty.csv": (text(""), "is empty"),
        "header.csv": (text("a,b\n"), "no rows"),
    }


@pytest.mark.parametrize("name", damaged_files())
def test_a_file_that_cannot_be_used(command, tmp_path, name):
    write, said = damaged_files()[name]
    write(tmp_path / name)
    assert_refused(command("infer", "--data", name, *QUICK), name, said)


@pytest.fixture
def data(tmp_path: Path) -> str:
    np.savez(tmp_path / "mine.npz", **sound())
    return "mine.npz"


@pytest.mark.parametrize("option", ["task", "rows", "cols", "rank", "measurements", "task-seed"])
def test_a_file_brings_its_own_task(command, data, option):
    value = "sensing" if option == "task" else 2
    assert_refused(command("infer", "--data", data, f"--{option}", value, *QUICK), f"--{option}", data)


@pytest.mark.parametrize(
    "option", ["--index", "--no-index", "--header", "--no-header", "--standardize", "--no-standardize"]
)
def test_table_options_are_for_tables(command, data, option):
    name = option.replace("--no-", "--")
    assert_refused(command("infer", option, *QUICK), name, "no --data")
    assert_refused(command("infer", "--data", data, option, *QUICK), name, data)


@pytest.mark.parametrize(
    "options",
    [
        ("--no-gd", "--restarts", 5),
        ("--no-gd", "--gd-lr", 0.1),
        ("--gd-init", "prior", "--gd-init-scale", 0.1),
        ("--gd-optimizer", "adam", "--gd-momentum", 0.9),
    ],
)
def test_options_that_would_have_no_effect(command, options):
    assert_refused(command("infer", *options, "--max-evaluations", 20_000), options[-2].removeprefix("--gd-"))


def test_a_problem_that_no_matrix_of_the_model_solves(command, tmp_path):
    arrays = sound()  # its truth has a norm near 5, a normalised model's matrices have norm 1
    np.savez(tmp_path / "scaled.npz", **(arrays | {"y": 100 * arrays["y"], "truth": 100 * arrays["truth"]}))
    refused = command("infer", "--data", "scaled.npz", "--normalize", *QUICK)
    assert_refused(refused, "No matrix of Frobenius norm 1", "0.0035", "--eps", begun=True)
    assert [path.name for path in tmp_path.iterdir()] == ["scaled.npz"]


def test_an_infeasible_problem_is_an_object_too(command, tmp_path):
    arrays = sound()
    np.savez(tmp_path / "scaled.npz", **(arrays | {"y": 100 * arrays["y"], "truth": 100 * arrays["truth"]}))
    ended = command("infer", "--data", "scaled.npz", "--normalize", "--json", *QUICK)
    found = ended.object
    assert (ended.code, found["outcome"], found["posterior"]) == (2, "infeasible", None)
    assert "No matrix of Frobenius norm 1" in found["message"]
    assert found["diagnostics"]["least_train_loss"] > found["eps"]
    assert ended.err == f"bayesgc: {found['message']}\n"
    assert [path.name for path in tmp_path.iterdir()] == ["scaled.npz"]


def test_what_the_run_itself_finds_infeasible_is_an_object_too(command, monkeypatch):
    import bayesgc.cli.session as session
    from bayesgc.inference import Outcome

    plain = session.infer

    def found_in_the_run(*arguments, **options):
        result = plain(*arguments, **options)
        result.attrs |= {"outcome": Outcome.INFEASIBLE.value, "message": "Rounding decides; raise --eps."}
        return result

    monkeypatch.setattr(session, "infer", found_in_the_run)
    ended = command("infer", "--eps", 0.05, "--json", *QUICK)
    assert (ended.code, ended.object["outcome"]) == (2, "infeasible")
    assert ended.err == "bayesgc: Rounding decides; raise --eps.\n"
    assert_refused(command("infer", "--eps", 0.05, *QUICK), "Rounding decides", begun=True)


def test_a_result_that_is_damaged(command, tmp_path):
    np.savez(tmp_path / "mine.npz", **sound())
    (tmp_path / "empty.nc").touch()
    (tmp_path / "text.nc").write_text("not netCDF", encoding="utf-8")
    for name in ("mine.npz", "empty.nc", "text.nc"):
        assert_refused(command("show", name), name)


def test_a_model_too_large_for_the_machine(command):
    assert_refused(command("infer", "--rows", 10**6, "--cols", 10**6, *QUICK), "too little memory")


def test_a_folder_without_permission(command, monkeypatch):
    def deny(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "touch", deny)
    assert_refused(command("infer", "--out", "result.nc", *QUICK), "result.nc", "Permission denied", "writable")
    assert_refused(command("infer", *QUICK), "--out", "Permission denied")
    assert_refused(command("infer", "--plot", "result.png", *QUICK), "--plot", "Permission denied")


def test_what_was_found_is_printed_even_if_it_cannot_be_saved(command, monkeypatch, tmp_path):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for out in ((), ("--out", "result.nc")):
        ended = command("infer", "--eps", 0.05, "--draws", 100, "--json", *QUICK, *out)
        assert ended.code == 2
        assert "Cannot write" in ended.err
        assert "No space left" in ended.err
        assert ended.object["posterior"] is not None or ended.object["outcome"] == "exhausted"
        assert list(tmp_path.iterdir()) == []


def test_the_installed_command_too(tmp_path):
    program = [sys.executable, "-m", "bayesgc", "infer", "--depth", "0"]
    process = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (process.returncode, process.stdout) == (2, "")
    assert process.stderr == "bayesgc: depth is 0; it must be a whole number at least 1.\n"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--method", "importance", "--activation", "tanh"), "importance needs an unnormalised factorisation"),
        (("--method", "orthants"), "--method orthants is for labelled examples"),
    ],
)
def test_a_method_that_does_not_suit_is_refused_before_the_run_begins(command, options, said):
    assert_refused(command("infer", *options), said)
