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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("infer --data missing.csv", "missing.csv: cannot be read: No such file or directory."),
        ("infer --prior gausian", "Did you mean 'gaussian'?"),
        ("infer --prior uniform,...,gausian:scale=1", "Did you mean 'gaussian'?"),
        ("infer --prior missing.py:mine", "there is no file 'missing.py'."),
        ("infer --model missing.py:Net", "there is no file 'missing.py'."),
        ("infer --task digitz", "Did you mean 'digits'?"),
        ("infer --method rejecton:batch=3", "Did you mean 'rejection'?"),
        ("infer --activation thanh", "Did you mean 'tanh'?"),
        ("infer --gd-optimizer adm", "gd optimizer is 'adm'"),
        ("infer --family matrx", "Did you mean 'matrix'?"),
        ("infer --device gpu", "device is 'gpu'; write auto, cpu, cuda, cuda:i or mps."),
        ("infer --depth two", "--depth is 'two'; it must be a whole number (see "),
        ("infer --gd-lr x", "--gd-lr is 'x'; it must be a number (see "),
        ("infer --depth 0", "depth is 0; it must be a whole number at least 1."),
        (
            "infer --train 4",
            "--task is 'sensing' without --data; name a set, as --task digits, or your own with --data, or leave",
        ),
        ("infer --out missing/x.nc", "does not exist."),
        ("infer --eps x", "eps is 'x'; it must be a training loss"),
        ("infer --task digits --eps -1", "eps is '-1'; it must be a training loss"),
        ("infer --hide x", "hide is 'x'; it must be a share of the observed cells"),
        ("infer --hide 60%", "at most 50%."),
        ("infer --shape 4", "--shape is '4'; write two or more whole numbers"),
        ("infer --precision 0", "--precision is 0.0; it must be"),
        ("infer --gd-lr 0", "--gd-lr is 0.0; it must be"),
        ("infer --gd-momentum 2", "--gd-momentum is 2.0; it must be"),
        ("infer --data t.csv --drop z", "t.csv: has no column 'z'; its first line names u, v, w."),
        ("infer --data t.csv --columns u,z", "t.csv: has no column 'z'; its first line names u, v, w."),
        ("infer --data n.csv --target gama", "alpha, gamma: choose one as target. Did you mean 'gamma'?"),
        ("infer --data t.csv --target nosuch", "names u, v, w: choose one as target."),
        ("infer --data t.csv --rows u --cols v --values z", "t.csv: has no column 'z'"),
        ("infer --data t.csv --rows u", "go together"),
        ("report missing.nc", "missing.nc is not a file"),
        ("report parts", "parts holds the parts deep and shallow; give one, as parts/deep."),
        ("report parts/deep/none", "parts/deep/none holds no sweep: "),
        ("sweep missing.toml --out x", "missing.toml cannot be read"),
        ("reproduce fig12 --out x", "fig9, fig10, fig11, all.\n"),
        ("reproduce fig12", "figure is 'fig12'; choose one of fig1"),
        ("reproduce al", "Did you mean 'all'?"),
        ("study rank", "Did you mean 'ranks'?"),
        ("study rank --out x", "Did you mean 'ranks'?"),
        ("inferr", "No such command 'inferr'. Did you mean 'infer'? (see "),
        ("xyzzy", "No such command 'xyzzy'; choose one of infer, show"),
    ],
)
def test_what_is_wrong_by_its_name_is_said_without_torch(arguments, said, tmp_path):
    (tmp_path / "t.csv").write_text("u;v;w\n1;2;3\n4;;5\n", encoding="utf-8")
    (tmp_path / "n.csv").write_text("alpha,gamma\n1,2\n", encoding="utf-8")
    for part in ("deep", "shallow"):
        (tmp_path / "parts" / part / "none").mkdir(parents=True)
        (tmp_path / "parts" / part / "sweep.json").write_text("{}", encoding="utf-8")
    process = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments.split()],
        capture_output=True, text=True, check=False, timeout=60, cwd=tmp_path,
    )  # fmt: skip
    assert process.returncode == 2
    assert process.stderr.count("\n") == 1
    assert said in process.stderr
    assert not {"torch", "pyro"} & set(process.stdout.split())


def test_code_of_ones_own_may_bring_names_that_do_not_come_with_the_package(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import dataclasses\nimport bayesgc as gc\nfrom bayesgc.models import ACTIVATIONS\n"
        "gc.register_activation(dataclasses.replace(ACTIVATIONS['tanh'], name='mine'))\n"
        "def small(seed=0):\n    return gc.sensing(rows=3, cols=3, rank=1, measurements=3, seed=seed)\n"
    )
    arguments = "infer --task mine.py:small --activation mine --eps 50% --no-gd --max-evaluations 3000 -q --out x.nc"
    process = subprocess.run(
        [sys.executable, "-m", "bayesgc", *arguments.split()], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "activation is" not in process.stderr
    assert (tmp_path / "x.nc").exists(), process.stderr


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
