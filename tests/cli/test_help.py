"""Help and version: complete, and without waiting for torch."""

from __future__ import annotations

import re
import resource
import subprocess
import sys

import pytest

import bayesgc

PROBE = """
import sys, bayesgc.cli
sys.argv = ["bayesgc", *sys.argv[1:]]
try:
    bayesgc.cli.main()
finally:
    heavy = {"torch", "pyro", "xarray", "scipy", "matplotlib"} & set(sys.modules)
    print("heavy:", *sorted(heavy))
"""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["infer", "--help"], ["show", "-h"], ["list", "--help"], ["--version"], []]
)
def test_help_is_quick_and_imports_nothing_heavy(arguments):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Of the processor, which others that are at work beside do not lengthen as they do the time on the wall.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
    assert process.returncode == (0 if arguments else 2)
    assert process.stderr == ""
    assert process.stdout.endswith("heavy:\n")


def test_version(command):
    assert command("--version").out == f"bayesgc {bayesgc.__version__}\n"


def test_no_command_shows_the_commands(command):
    ended = command()
    assert ended.code == 2
    assert all(name in ended.out for name in ("infer", "show", "list"))


def test_every_option_of_infer_is_explained(command):
    text = command("infer", "--help").out
    shown = set(re.findall(r"(?<![\w-])--([a-z][a-z-]+)", text))
    wanted = (
        "depth width activation prior scaling normalize task rows cols rank measurements task-seed data index "
        "standardize eps method chains draws precision max-seconds max-evaluations seed device dtype gd no-gd "
        "gd-optimizer gd-lr gd-momentum gd-steps gd-init gd-init-scale gd-tol restarts out plot weights json quiet"
    )
    assert set(wanted.split()) <= shown
    # An open default is said too: brackets in a help text would be taken for markup and vanish.
    for default in ("60 % of the", "a new file in", "the optimizer's", "the paper's"):
        assert default in text


def test_help_reads_as_a_user_would_say_it(command):
    text = " ".join(re.sub("[│╭╮╰╯─]", " ", command("infer", "--help").out).split())
    for unclear in ("(none)", "of a table its root", "and like", "What fits labels", "1000, within"):
        assert unclear not in text
    assert "within 20 MB each for prior and posterior" in text.replace("- ", "-")


def test_the_help_of_draws_names_the_limit():
    from bayesgc.inference.request import Request

    numbers = 30
    kept = Request().bounded(numbers).kept(1, 10**9)
    assert kept * numbers * 8 == pytest.approx(20e6, rel=0.05)


def test_a_wrong_threshold_is_told_that_there_may_be_an_exact_fit(command):
    assert "it must be a training loss, 0 for an exact fit, a share" in command("infer", "--eps", "-1").err


def test_the_shell_completes_commands(monkeypatch, capsys):
    from bayesgc.cli.app import app

    monkeypatch.setenv("_BAYESGC_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "bayesgc re")
    monkeypatch.setenv("COMP_CWORD", "1")
    with pytest.raises(SystemExit) as stopped:
        app(prog_name="bayesgc")
    assert not stopped.value.code
    assert capsys.readouterr().out.split() == ["report", "reproduce"]
