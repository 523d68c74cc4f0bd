"""Ctrl-C: exit 130 soon, what was found saved and loadable, and a word on standard error."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import bayesgc as gc

BIG_DESCENT = ("--restarts", 8, "--gd-tol", 0, "--gd-steps", 10_000_000)


@pytest.mark.parametrize(
    ("stage", "options", "posterior"),
    [
        ("prior", ("--eps", 0.0035), False),
        ("pilot", ("--eps", 1e-12), False),
        ("islands", ("--eps", 0.02, "--precision", 1e-6, "--no-gd"), True),
        ("rejection", ("--eps", 1e-12, "--method", "rejection"), False),
        ("gradient descent", ("--eps", 0.05, *BIG_DESCENT), True),
    ],
)
def test_what_was_found_is_kept(command, interrupt_at, stage, options, posterior):
    interrupt_at(stage)
    began = time.perf_counter()
    ended = command("infer", "--json", "--out", "partial.nc", *options)
    assert time.perf_counter() - began < 20  # without Ctrl-C each would go on for minutes; a slow machine has room
    assert ended.code == 130
    assert ended.object["outcome"] == "interrupted"
    assert (ended.object["posterior"] is not None) == posterior
    assert "partial.nc" in ended.err
    saved = gc.load_result("partial.nc")
    assert saved.attrs["outcome"] == "interrupted"
    assert ("posterior" in saved.children) == posterior
    assert command("show", "partial.nc", "--json").object == ended.object


def test_the_text_says_that_it_is_partial(command, interrupt_at):
    interrupt_at("pilot")
    ended = command("infer", "--eps", 1e-12)
    assert ended.code == 130
    assert "interrupted" in ended.out
    assert "saved in sensing-5x5-depth2-eps1e-12-seed0.nc" in ended.err


def test_a_second_one_ends_at_once(command, interrupt_at, tmp_path):
    interrupt_at("rejection", times=2)
    ended = command("infer", "--eps", 1e-12, "--method", "rejection")
    assert (ended.code, ended.out) == (130, "")
    assert ended.err.splitlines()[-1].startswith("bayesgc: interrupted at once")
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="a signal from outside")
@pytest.mark.slow
def test_a_signal_from_outside(tmp_path: Path):
    program = [sys.executable, "-m", "bayesgc", "infer", "--depth", "8", "--eps", "1e-12", "--out", "partial.nc"]
    process = subprocess.Popen(program, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(20)  # past the imports, in the pilot or the islands: the threshold takes minutes
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "partial.nc" in errors
    assert gc.load_result(tmp_path / "partial.nc").attrs["outcome"] == "interrupted"
