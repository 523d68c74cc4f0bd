"""What code counts as in a key: by its content, with what it imports of the user's own, and by nothing else."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from bayesgc.experiments import sources
from bayesgc.experiments.cell import Cell
from bayesgc.experiments.sources import code_key
from bayesgc.models.priors.prior import PRIORS, RegisteredPrior
from bayesgc.options import Options

MODULE = "import pyro.distributions as dist\n\ndef sp(rows, cols): return dist.Normal(0.0, 1.0).expand([rows, cols])\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, text: str) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")
    importlib.invalidate_caches()  # a folder is looked at anew only when its time has changed, which has a grain


def keys_over_edits(spec: str, file: str, *texts: str) -> list[str]:
    found = []
    for text in texts:
        write(file, text)
        found.append(code_key(spec))
    return found


def test_a_module_counts_by_its_content() -> None:
    one, same, other = keys_over_edits("mymod:sp", "mymod.py", MODULE, MODULE, MODULE.replace("1.0", "2.0"))
    assert one == same != other
    assert "mymod" not in sys.modules  # nothing was run


def test_cells_with_the_prior_of_an_edited_module_are_made_again() -> None:
    keys = []
    for scale in ("1.0", "2.0"):
        write("mymod.py", MODULE.replace("1.0", scale))
        given = ({"prior": "gaussian,mymod:sp"}, {"model": "mymod:sp"})
        keys += [str(Cell({}, Options.checked(each))._chosen(without=())) for each in given]
    assert len(set(keys)) == 4


@pytest.mark.parametrize(
    ("files", "edited"),
    [
        ({"mine.py": "import helper"}, "helper.py"),
        ({"mine.py": "from helper import scale"}, "helper.py"),
        ({"mine.py": "def sp(rows, cols):\n    import helper\n"}, "helper.py"),
        ({"mine.py": "import one", "one.py": "import two", "two.py": "import one, helper"}, "helper.py"),
        ({"mine.py": "from pack.deep import scale", "pack/__init__.py": ""}, "pack/deep.py"),
        ({"mine.py": "import pack.deep", "pack/deep.py": ""}, "pack/__init__.py"),
        ({"mine.py": "from pack import deep", "pack/__init__.py": ""}, "pack/deep.py"),
        ({"mine.py": "import pack", "pack/__init__.py": "from .deep import a"}, "pack/deep.py"),
        ({"mine.py": "import pack.a", "pack/__init__.py": "", "pack/a.py": "from . import b"}, "pack/b.py"),
        ({"mine.py": "import p.q.a", "p/q/a.py": "from ..b import c", "p/__init__.py": ""}, "p/b.py"),
        ({"mine.py": "import names.a", "names/a.py": "from names.b import *"}, "names/b.py"),  # a namespace package
    ],
)
def test_what_a_file_imports_counts_too(files: dict[str, str], edited: str) -> None:
    for name, text in files.items():
        write(name, text)
    for spec in ("mine.py:sp", "mine:sp"):
        one, same, other = keys_over_edits(spec, edited, "scale = 1", "scale = 1", "scale = 2")
        assert one == same != other


def test_what_is_not_imported_does_not_count() -> None:
    write("mine.py", "import json, torch, pyro.distributions, bayesgc.models\nimport nowhere\n")
    assert len(set(keys_over_edits("mine.py:sp", "helper.py", "scale = 1", "scale = 2"))) == 1
    # A file that imports nothing of the user's own keeps the key that stores have had it under.
    assert code_key("mine.py:sp:df=2") == f"{sources.content('mine.py')}:sp:df=2"


def test_a_key_knows_nothing_of_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = []
    for name in ("a", "b"):
        write(f"{name}/mymod.py", "import helper")
        write(f"{name}/helper.py", "scale = 1")
        monkeypatch.chdir(tmp_path / name)
        keys.append((code_key("mymod:sp"), code_key("mymod.py:sp"), code_key(f"{tmp_path / name}/mymod.py:sp")))
        monkeypatch.chdir(tmp_path)
    assert keys[0] == keys[1]


def test_files_in_the_options_of_a_plug_in_count_by_their_content() -> None:
    write("mine.py", MODULE)
    one, same, other = keys_over_edits("mine.py:sp:table=t.csv,df=2", "t.csv", "1,2", "1,2", "1,3")
    assert one == same != other
    assert one.endswith(",df=2")
    write("2", "a file of that name")
    assert code_key("mine.py:sp:df=2").endswith(":sp:df=2")


def test_installed_plug_ins_count_by_name_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    assert code_key("pyro.distributions:Normal") == f"pyro.distributions@{sources._version('pyro')}:Normal"
    assert code_key("package.module:prior") == "package.module:prior"
    write("offered.py", MODULE)
    offer = EntryPoint("spiky", "offered:sp", "bayesgc.priors")
    monkeypatch.setattr("bayesgc.plugins.entry_points", lambda group: [offer])
    one, same, other = keys_over_edits("spiky:df=2", "offered.py", MODULE, MODULE, MODULE.replace("1.0", "2.0"))
    assert one == same != other


def test_priors_registered_in_python_count_by_their_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write("registered.py", MODULE)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    factory = importlib.import_module("registered").sp
    monkeypatch.delitem(sys.modules, "registered")
    monkeypatch.setitem(PRIORS, "mine-registered", RegisteredPrior("mine-registered", factory, scaled=False))
    one, other = keys_over_edits("mine-registered", "registered.py", MODULE, MODULE.replace("1.0", "2.0"))
    assert one != other
    assert code_key("student-t:df=3") == "student-t:df=3"
