"""Priors and models of the user's own on the command line: the README's examples as written, and bad ones."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Your own prior, your own model")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", SECTION, re.DOTALL)
FILES = dict(zip(["mine.py", "model.py"], [text for kind, text in BLOCKS if kind == "python"], strict=True))
COMMANDS = [line for kind, text in BLOCKS if kind == "bash" for line in text.splitlines()]
QUICK = ("--no-gd", "--max-evaluations", 20_000)


@pytest.fixture(autouse=True)
def files(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")


def test_the_readme_has_the_files_it_speaks_of():
    assert len(FILES["mine.py"].splitlines()) < 15
    assert all(f"`{name}`" in SECTION for name in FILES)
    assert [command.split()[1:4:2] for command in COMMANDS] == [
        ["infer", "mine.py:spiky"],
        ["infer", "gaussian,...,mine.py:spiky:df=2"],
        ["infer", "model.py:components"],
    ]


@pytest.mark.parametrize("more", [["--no-gd", "--precision", "0.4"], pytest.param([], marks=pytest.mark.slow)])
@pytest.mark.parametrize("line", COMMANDS)
def test_the_readme_s_commands_work_as_written(command, line, more):
    # The fast part leaves gradient descent out, which takes most of the time; the slow part nothing.
    _, *arguments = line.split()
    ended = command(*arguments, *more, "--json")
    assert ended.code in (0, 3), ended.err
    found = ended.object
    assert found["posterior"]["train_loss"]["mean"] < found["eps"]
    written = arguments[2]
    assert written in (found["model"].get("prior"), found["model"].get("name"))


def test_a_program_s_result_is_called_by_its_name(command, tmp_path):
    assert command("infer", "--quiet", "--model", "model.py:components", *QUICK, "--precision", 0.9).code in (0, 3)
    assert [path.name for path in tmp_path.glob("*.nc")] == ["sensing-5x5-components-seed0.nc"]


BAD = {
    "wrong shape": ("def f(rows, cols): return dist.Normal(0.0, 1.0).expand([2, 2])", "the shape (2, 2)"),
    "nan": ("def f(r, c): return dist.Normal(float('nan'), 1.0, validate_args=False).expand([r, c])", "not finite"),
    "exception": ("def f(rows, cols): raise KeyError('weights')", "KeyError: 'weights'"),
    "no distribution": ("def f(rows, cols): return torch.zeros(rows, cols)", "must give a Pyro distribution"),
    "no prior": ("f = 3", "must be a function"),
    "a class": ("class f: pass", "must be a function"),
    "no such function": ("def g(rows, cols): pass", "has no 'f'; it has g"),
    "syntax": ("def f(", "SyntaxError"),
    "import": ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
    "arguments": ("def f(): return dist.Normal(0.0, 1.0)", "TypeError"),
}
BAD_MODELS = {
    "wrong shape": ("def f(): return pyro.sample('w', dist.Normal(0.0, 1.0).expand([2, 3]).to_event(2))", "(2, 3)"),
    "nan": ("def f(): return pyro.sample('w', dist.Normal(0.0, 1.0)) * torch.full((5, 5), torch.nan)", "not finite"),
    "exception": ("def f(): raise KeyError('weights')", "KeyError: 'weights'"),
    "no sites": ("def f(): return torch.zeros(5, 5)", "no latent sample site"),
    "no model": ("f = 3", "must be a Pyro program"),
    "arguments": ("def f(rows, cols): pass", "must be given arguments, 2 of them; for an array a program takes none"),
    "no such function": ("def g(): pass", "has no 'f'; it has g"),
}
HEAD = "import pyro\nimport pyro.distributions as dist\nimport torch\n"


def assert_refused(ended, *words, begun=False):
    """One line; before it the one that says what runs, where it takes a run to find out."""
    assert (ended.code, ended.out) == (2, "")
    *before, last = ended.err.splitlines()
    assert len(before) == begun
    assert last.startswith("bayesgc: ")
    for word in words:
        assert word in last


@pytest.mark.parametrize("name", BAD)
def test_a_bad_prior_ends_in_one_line_that_names_it(command, tmp_path, name):
    text, fault = BAD[name]
    (tmp_path / "bad.py").write_text(HEAD + text, encoding="utf-8")
    assert_refused(command("infer", "--prior", "bad.py:f", *QUICK), "bad.py:f", fault)


@pytest.mark.parametrize("name", BAD_MODELS)
def test_a_bad_model_ends_in_one_line_that_names_it(command, tmp_path, name):
    text, fault = BAD_MODELS[name]
    (tmp_path / "bad.py").write_text(HEAD + text, encoding="utf-8")
    assert_refused(command("infer", "--model", "bad.py:f", *QUICK), "bad.py:f", fault)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prior", "none.py:f"], ["none.py:f", "there is no file 'none.py'"]),
        (["--prior", "no_such_package.module:f"], ["there is no module 'no_such_package.module'"]),
        (["--model", "none.py:f"], ["model none.py:f", "there is no file"]),
        (["--model", "linear"], ["model is 'linear'", "file.py:function"]),
        (["--model", "model.py:components", "--depth", "2"], ["--depth", "model.py:components"]),
        (["--model", "model.py:components", "--rows", "4"], ["model 'model.py:components'", "(5, 5)", "(4, 5)"]),
        (["--model", "model.py:components", "--method", "importance"], ["importance", "splitting"]),
        (["--prior", "mine.py:spiky:depth=2"], ["'depth'", "df, scale"]),
        (["--prior", "gaussian,laplace,gaussian"], ["lists 3 layers", "2: W1, W2"]),
    ],
)
def test_what_does_not_fit_is_named(command, arguments, words):
    assert_refused(command("infer", *arguments, *QUICK), *words)


def test_list_shows_priors_with_their_options(command):
    out = command("list", "--json").out
    assert "student-t" in out
    assert "df=3.0" in out
