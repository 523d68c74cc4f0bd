"""Standard output as it is met: in other encodings, closed, full, or a pipe whose reader has gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import bayesgc as gc
from bayesgc.cli.terminal import Outlet, OutputError, standard_streams

PROGRAM = [sys.executable, "-m", "bayesgc"]
FAST = ("infer", "--method", "rejection", "--eps", "0.05", "--no-gd", "--no-map", "--draws", "20")
LOOKING = [
    ["show", "run.nc"],
    ["show", "run.nc", "--json"],
    ["diagnose", "run.nc"],
    ["report", "run.nc"],
    ["--help"],
    ["--version"],
]
FULL = Path("/dev/full")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a result."""
    path = tmp_path_factory.mktemp("saved")
    model = gc.MatrixFactorization(depth=2)
    settings = {"eps": 0.05, "method": "rejection", "draws": 20, "gd": False, "map": False}
    gc.save_result(gc.infer(model, gc.sensing(), **settings), path / "run.nc")
    return path


def run(folder, arguments, **options):
    environment = os.environ | options.pop("env", {})
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run([*PROGRAM, *map(str, arguments)], cwd=folder, env=environment, check=False, **options)


@pytest.mark.skipif(not FULL.exists(), reason="a device that is always full")
@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_a_full_device_is_one_line(folder, arguments):
    with FULL.open("w") as full:
        ended = run(folder, arguments, stdout=full)
    assert ended.returncode == 2
    assert ended.stderr.startswith(b"bayesgc: Cannot write to standard output: No space left on device")
    assert ended.stderr.count(b"\n") == 1


@pytest.mark.parametrize("arguments", LOOKING[:2], ids=" ".join)
def test_a_closed_output_is_one_line(folder, arguments):
    ended = run(folder, arguments, stdout=None, preexec_fn=lambda: os.close(1))
    assert (ended.returncode, ended.stderr) == (2, b"bayesgc: Cannot write to standard output: it is closed.\n")


@pytest.mark.parametrize("arguments", [LOOKING[0], LOOKING[1], LOOKING[-2]], ids=" ".join)
def test_a_pipe_that_nobody_reads_ends_as_is_custom(folder, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    ended = run(folder, arguments, stdout=writing)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_a_result_is_saved_whatever_becomes_of_the_output(tmp_path):
    for kind in ("closed", "pipe"):
        reading, writing = os.pipe()
        os.close(reading)
        close = (lambda: os.close(1)) if kind == "closed" else None
        ended = run(tmp_path, [*FAST, "--json", "--out", f"{kind}.nc"], stdout=writing, preexec_fn=close)
        os.close(writing)
        assert ended.returncode == {"closed": 2, "pipe": 141}[kind]
        assert f"saved in {kind}.nc".encode() in ended.stderr
        assert ended.stderr.count(b"\n") == 1
        assert gc.load_result(tmp_path / f"{kind}.nc").attrs["outcome"] == "converged"


def test_nothing_to_print_needs_no_output(tmp_path):
    ended = run(tmp_path, [*FAST, "--quiet"], stdout=None, preexec_fn=lambda: os.close(1))
    assert (ended.returncode, ended.stderr) == (0, b"")


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_another_encoding_stays_readable(folder, encoding):
    ended = run(folder, LOOKING[0], env={"PYTHONIOENCODING": encoding})
    assert (ended.returncode, ended.stderr) == (0, b"")
    text = ended.stdout.decode(encoding)
    assert "?" not in text
    assert "eps = 0.05" in text or "ε = 0.05" in text
    table = [line for line in text.splitlines() if line.startswith(("prior  ", "G&C posterior ", "zero  "))]
    assert len(table) == 3
    assert len(set(map(len, table))) == 1  # columns are laid out with what is shown


def test_error_messages_too(tmp_path):
    name = "köln-ε.nc"
    ended = run(tmp_path, ["show", name], env={"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"})
    assert ended.returncode == 2
    assert ended.stderr == b"bayesgc: koln-eps.nc is not a file; give the .nc file of a bayesgc result.\n"
    raw = run(tmp_path, ["show", os.fsdecode(b"\xff.nc")])
    assert raw.returncode == 2
    assert b"Traceback" not in raw.stderr


@pytest.mark.parametrize("lost", ["closed", "full"])
def test_standard_error_may_be_lost(folder, lost):
    if lost == "closed":
        assert run(folder, ["show", "no.nc"], stderr=None, preexec_fn=lambda: os.close(2)).returncode == 2
    elif FULL.exists():
        with FULL.open("w") as full:
            assert run(folder, ["show", "no.nc"], stderr=full).returncode == 2


def test_an_outlet_fails_once_and_not_as_an_oserror():
    outlet = Outlet(None, silent=False)
    with pytest.raises(OutputError, match="closed"):
        outlet.write("text")
    assert outlet.write("more") == 4
    outlet.flush()
    assert not issubclass(OutputError, OSError)


def test_the_streams_are_put_back(capsys):
    before = sys.stdout, sys.stderr
    with standard_streams():
        assert sys.stdout is not before[0]
    assert (sys.stdout, sys.stderr) == before
