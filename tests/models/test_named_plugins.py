"""Priors by name, by entry point, from a module or a file, and by layer; what is wrong with one is named."""

from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pyro.distributions as dist
import pytest
import torch

from bayesgc import plugins
from bayesgc.models import MatrixFactorization, available
from bayesgc.models.priors.prior import PRIORS, each_layer, prior_named
from bayesgc.validate import InputError

SOURCE = '''
import torch
import pyro.distributions as dist
from bayesgc import register_prior

def spiky(rows, cols, *, scale=0.5, kind="wide"):
    """Heavy tails."""
    assert isinstance(kind, str)
    return dist.StudentT(3.0, 0.0, scale).expand([rows, cols])

@register_prior("registered-here", scaled=True)
def scaled(rows, cols, *, scale):
    """Scaled."""
    return dist.Normal(0.0, scale).expand([rows, cols])

def plain(rows, cols, spread=1.0):
    return dist.Normal(0.0, spread).expand([rows, cols]).to_event(2)

number = 3
class Law: pass

def raises(rows, cols): raise KeyError("no such thing")
def transposed(rows, cols): return dist.Normal(0.0, 1.0).expand([cols, rows])
def scalar(rows, cols): return dist.Normal(0.0, 1.0)
def tensor(rows, cols): return torch.zeros(rows, cols)
def array(rows, cols): return [[0.0] * cols] * rows
def nan(rows, cols): return dist.Normal(float("nan"), 1.0, validate_args=False).expand([rows, cols])
def invalid(rows, cols): return dist.Normal(0.0, -1.0).expand([rows, cols])
def one_argument(rows): return dist.Normal(0.0, 1.0)
class Broken(dist.Normal):
    def sample(self, *shape): raise RuntimeError("cannot draw\\nat all")
def undrawable(rows, cols): return Broken(0.0, 1.0).expand([rows, cols])
Broken.expand = lambda self, shape, _instance=None: Broken(dist.Normal(0.0, 1.0).loc.expand(shape), 1.0)
'''


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a plug-in file, to be in; and registries that forget what a test adds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bayesgc.models.priors.prior.PRIORS", PRIORS.copy())
    (tmp_path / "mine.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "syntax.py").write_text("def f(:", encoding="utf-8")
    (tmp_path / "imports.py").write_text("import no_such_module_anywhere", encoding="utf-8")
    (tmp_path / "nothing.py").write_text("x = 1", encoding="utf-8")
    yield tmp_path
    for name in ("mine", "imports", "nothing", "syntax"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("source", ["mine.py", "./mine.py", "mine"])
def test_a_function_of_a_file_or_a_module(source):
    law = prior_named(f"{source}:spiky:scale=2,kind=narrow", "fan-out")(3, 4)
    assert tuple(law.event_shape) == (3, 4)
    assert law.base_dist.scale.unique() == 2.0
    assert prior_named(f"{source}:plain:spread=3", "fan-out")(3, 4).stddev.unique() == 3.0


def test_a_file_is_executed_once_until_it_changes(folder):
    (folder / "counts.py").write_text("calls = []\ndef f(rows, cols): return calls", encoding="utf-8")
    first, again = (plugins.load("prior", "counts.py:calls") for _ in range(2))
    assert first is again


def test_what_a_file_registers_takes_the_model_s_scale():
    assert prior_named("mine.py:scaled", "fan-out")(4, 9).stddev.unique() == 0.5
    assert prior_named("registered-here", "fan-in")(4, 9).stddev.unique() == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("none.py:f", r"prior none\.py:f: there is no file 'none\.py'"),
        ("mine.py:none", r"mine\.py has no 'none'; it has spiky, scaled, plain, raises"),
        ("nothing.py:f", "it defines no function"),
        ("nothing.py", "prior is 'nothing.py', a file; it defines no function"),
        ("mine.py", "prior is 'mine.py', a file; name what in it: mine.py:spiky or mine.py:scaled or"),
        ("mine.py:scale=2", "prior is 'mine.py:scale=2', a file; name what in it: mine.py:spiky"),
        ("none.py", r"prior none\.py: there is no file 'none\.py'"),
        ("syntax.py:f", "prior syntax.py:f failed with SyntaxError: invalid syntax"),
        ("imports.py:f", "failed with ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("imports:f", "prior imports:f failed with ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("no_such_module:f", "there is no module 'no_such_module', here or among the installed ones"),
        ("no.such.module:f", "there is no module 'no.such.module'"),
        ("mine.py:number", "is 3; it must be a function"),
        ("mine.py:Law", "Law'>; it must be a function"),
        ("mine.py:spiky:depth=2", "option of prior 'mine.py:spiky:depth=2' is 'depth'; choose one of scale, kind"),
        ("mine.py:spiky:scale=big", "prior option scale is 'big'; it must be a finite number"),
        ("mine.py:raises:x=1", "it takes no options"),
        ("cauchy", "prior is 'cauchy'; choose one of gaussian, .*, file.py:function, package.module:function"),
        ("cauchy:df=3", "prior is 'cauchy'; choose one of gaussian"),
    ],
)
def test_a_wrong_name_is_refused_when_the_model_is_made(spec, message):
    with pytest.raises(InputError, match=message):
        MatrixFactorization(2, prior=spec)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("raises", r"prior 'mine\.py:raises', asked for W1 of shape \(5, 4\), failed with KeyError: 'no such thing'"),
        ("transposed", r"gave W1 the shape \(4, 5\); the layer is \(5, 4\)"),
        ("scalar", r"gave W1 the shape \(\); the layer is \(5, 4\); \.expand\(\[rows, cols\]\) makes one"),
        ("array", r"gave \[\[0.0, 0.0, ...\], .{1,40}\] for W1; it must give a Pyro distribution"),
        ("tensor", r"gave a Tensor of shape \(5, 4\) for W1; it must give a Pyro distribution, not a draw of one\.$"),
        ("nan", "drew W1 with entries that are not finite"),
        ("invalid", r"failed with ValueError: Expected parameter scale .* but found invalid values: \S+"),
        ("one_argument", "failed with TypeError: one_argument"),
        ("undrawable", "prior 'mine.py:undrawable', drawing W1, failed with RuntimeError: cannot draw"),
    ],
)
def test_a_wrong_prior_is_refused_in_one_line_that_names_it(name, message):
    with pytest.raises(InputError, match=message) as refused:
        MatrixFactorization(2, prior=f"mine.py:{name}").whiten((3, 4))
    assert "\n" not in str(refused.value)
    # The function itself, in Python, is named as well.
    with pytest.raises(InputError, match=f"prior {name}"):
        MatrixFactorization(2, prior=plugins.load("prior", f"mine.py:{name}")).whiten((3, 4))


def test_running_out_of_memory_is_not_the_plug_in_s_fault():
    with pytest.raises(MemoryError), plugins.blame("prior x"):
        raise MemoryError


# --- entry points -----------------------------------------------------------------------------------------------------


def offer(monkeypatch, **points):
    offered = [EntryPoint(name, value, PRIORS.group) for name, value in points.items()]
    monkeypatch.setattr(plugins, "entry_points", lambda *, group: [each for each in offered if each.group == group])


def test_entry_points_are_found_by_name_and_listed(monkeypatch):
    monkeypatch.syspath_prepend(".")
    offer(monkeypatch, theirs="mine:spiky", broken="imports:f", three="mine:number")
    assert prior_named("theirs:scale=2", "fan-out")(2, 2).base_dist.scale.unique() == 2.0
    found = available()
    assert found["theirs"].summary == "Heavy tails."
    assert list(found["theirs"].options) == ["scale", "kind"]
    assert "prior 'broken', the entry point imports:f, failed with ModuleNotFoundError" in found["broken"]
    with pytest.raises(InputError, match="entry point mine:number, is 3; it must be a function"):
        prior_named("three", "fan-out")
    with pytest.raises(InputError, match="prior is 'other'; choose one of gaussian, .*broken, theirs, three"):
        prior_named("other", "fan-out")


def test_a_registered_name_comes_before_an_entry_point(monkeypatch):
    offer(monkeypatch, gaussian="mine:number")
    assert prior_named("gaussian", "unit")(2, 2).stddev.unique() == 1.0


# --- by layer ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prior", "families"),
    [
        ("gaussian,laplace,uniform", "Normal Laplace Uniform"),
        ("gaussian:mean=1,...,student-t:df=3,mean=1", "Normal Normal StudentT"),
        ("laplace,...", "Laplace Laplace Laplace"),
        (("gaussian", "laplace:mean=2", "mine.py:spiky"), "Normal Laplace StudentT"),
        (("laplace", ..., "gaussian"), "Laplace Laplace Normal"),
        ((lambda rows, cols: dist.Cauchy(0.0, 1.0).expand([rows, cols]), ..., "gaussian"), "Cauchy Cauchy Normal"),
        ("uniform", "Uniform Uniform Uniform"),
    ],
)
def test_priors_by_layer(prior, families):
    laws = MatrixFactorization(3, prior=prior).laws((3, 4))
    assert [type(law.base_dist).__name__ for law in laws.values()] == families.split()
    assert [tuple(law.shape()) for law in laws.values()] == [(5, 4), (5, 5), (3, 5)]


def test_options_after_commas_belong_to_the_prior_before_them():
    laws = MatrixFactorization(2, prior="student-t:df=5,mean=2,gaussian:mean=1", scaling="unit").laws((3, 3))
    assert [float(law.mean[0, 0]) for law in laws.values()] == [2.0, 1.0]


@pytest.mark.parametrize(
    "prior", ["gaussian,laplace", ("gaussian",) * 4, ("gaussian", ..., "gaussian", "laplace", "laplace", "laplace")]
)
def test_a_list_of_the_wrong_length(prior):
    with pytest.raises(InputError, match="the model has 3: W1, W2, W3"):
        MatrixFactorization(3, prior=prior).laws((3, 3))


@pytest.mark.parametrize(
    "prior", [("gaussian", ..., "laplace", ..., "laplace"), (..., "gaussian"), "...,gaussian,laplace", "..."]
)
def test_a_repetition_of_nothing_or_of_two(prior):
    with pytest.raises(InputError, match=r"'\.\.\.' repeats the prior before it, and may stand in a list once"):
        MatrixFactorization(3, prior=prior).laws((3, 3))


def test_a_list_that_is_long_enough_needs_no_repetition():
    assert each_layer(("gaussian", ..., "laplace"), ["W1", "W2"]) == ["gaussian", "laplace"]
    assert each_layer(("gaussian", ..., "laplace"), ["W1"] * 4) == ["gaussian"] * 3 + ["laplace"]


# --- the shipped ones -------------------------------------------------------------------------------------------------

MOMENTS = {
    "gaussian": 1.0,
    "uniform": 1 / 3,
    "laplace": 2.0,
    "student-t:df=10": 1.25,
    "spike-slab:share=0.25": 0.25,
    "rademacher": 1.0,
    "orthogonal": 1.0,
    "low-rank:rank=3": 1.0,
}


@pytest.mark.parametrize("name", MOMENTS)
def test_the_variance_of_an_entry_of_a_shipped_prior(name):
    law = prior_named(name, lambda rows, cols: 2.0)(4, 6)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = law.sample((4000,)).double()
    squares = (draws.square().mean((1, 2)) / 4).numpy()
    # Five standard errors over independent draws, and rounding.
    assert abs(squares.mean() - MOMENTS[name]) < 5 * squares.std() / 4000**0.5 + 1e-6


def test_every_shipped_prior_has_its_variance_known_or_infinite():
    shipped = {name for name, prior in PRIORS.items() if prior.factory.__module__ == "bayesgc.models.priors.shipped"}
    assert shipped == {name.partition(":")[0] for name in MOMENTS} | {"horseshoe"}
