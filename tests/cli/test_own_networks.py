"""Networks of the user's own on the command line: a torch module in a file, a program of inputs, lenet."""

from __future__ import annotations

import pytest

FILE = """
import pyro, torch
import pyro.distributions as dist
from torch import nn

class Net(nn.Module):
    def __init__(self, features, outputs):
        super().__init__()
        self.first, self.last = nn.Linear(2, 4), nn.Linear(4, outputs)

    def forward(self, x):
        return self.last(torch.tanh(self.first(x)))

class Dropping(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(2, 2), nn.Dropout())

def program(x):
    weight = pyro.sample("weight", dist.Normal(0.0, 1.0).expand([2, 2]).to_event(2))
    return x @ weight.mT
"""
TASK = ("--task", "two-moons", "--train", 4, "--balanced", "--test", 50)
QUICK = ("--method", "rejection", "--precision", 0.3, "--chains", 4)
DESCENT = ("--restarts", 2, "--gd-epochs", 10)
"""That it runs, not how far it comes."""


@pytest.fixture(autouse=True)
def file(tmp_path):
    (tmp_path / "net.py").write_text(FILE, encoding="utf-8")


def test_a_module_in_a_file_is_a_model(command, unchecked, tmp_path):
    prior = "*.bias=uniform;*=gaussian"
    ended = command("infer", *TASK, "--model", "net.py:Net", "--prior", prior, *DESCENT, *QUICK, "--json")
    assert ended.code == 0, ended.err
    found = ended.object
    assert found["model"] == {"family": "module", "prior": prior, "scaling": "fan-in", "name": "net.py:Net"}
    assert found["gd"]["restarts"] == 2
    [saved] = tmp_path.glob("*.nc")
    assert saved.name == "two-moons-4-Net-bias=uniform_=gaussian-test50-balanced-rejection-seed0.nc"


def test_a_program_of_inputs_is_a_model(command, unchecked):
    ended = command("infer", *TASK, "--model", "net.py:program", *DESCENT, *QUICK, "--json")
    assert ended.code == 0, ended.err
    assert ended.object["gd"]["restarts"] == 2


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--model", "net.py:Dropping"], "has dropout (1, Dropout)"),
        (["--model", "net.py:program", "--prior", "uniform"], "--prior is for a family or a torch module"),
        (["--model", "net.py:Net", "--width", 3], "--width describes a family"),
        (["--model", "net.py:Net", "--prior", "fc*=uniform;*=laplace"], "pattern 'fc*', which matches none of"),
        (["--family", "lenet"], "a lenet is for images"),
        (["--normalize-weights", "frobenius"], "changes no label; the fit is 'errors'"),
        (["--normalize-weights", "size"], "normalize_weights is 'size'"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_in_one_line(command, more, said):
    ended = command("infer", *TASK, *more, "--no-gd")
    assert ended.code == 2
    assert said in " ".join(ended.err.split())


def test_lenet_is_there_by_name(command, unchecked, tmp_path):
    more = ("--family", "lenet", "--width", 0.2, "--bias", "--classes", "0,7", "--no-gd")
    ended = command("infer", "--task", "digits", "--train", 4, "--balanced", "--test", 20, *more, *QUICK, "--json")
    assert ended.code == 0, ended.err
    assert (ended.object["model"]["family"], ended.object["model"]["width"]) == ("lenet", 0.2)
    [saved] = tmp_path.glob("*.nc")
    assert saved.name == "digits-4-lenet-width0.2-bias-test20-classes0_7-balanced-rejection-seed0.nc"
