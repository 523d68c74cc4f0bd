"""The example of a plug-in package, built, installed beside bayesgc and tested as any other package would be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "bayesgc-ternary"


def run(folder, *command):
    path = os.pathsep.join([str(folder), str(ROOT)])
    environment = os.environ | {"PYTHONPATH": path, "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, command)], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 3), done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    # Without network: what builds it is in the extra of the tests, and what it needs is there.
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", folder]
    run(folder, "-m", "pip", "install", *options, EXAMPLE)
    return folder


def test_it_is_listed_and_infers(installed):
    listed = json.loads(run(installed, "-m", "bayesgc", "list", "--json"))
    assert listed["prior"]["ternary"].endswith("Options: zeros=0.5.")
    quick = ["--no-gd", "--eps", "0.05", "--draws", "50", "--precision", "0.5", "--json"]
    found = json.loads(run(installed, "-m", "bayesgc", "infer", "--prior", "ternary:zeros=0.3", *quick))
    assert found["model"]["prior"] == "ternary:zeros=0.3"
    assert found["posterior"] is not None


def test_its_own_tests_pass(installed):
    out = run(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, EXAMPLE / "tests")
    assert "1 passed" in out
