"""What a notebook shows of a result: the table and the sentence, of new results and of loaded ones."""

from __future__ import annotations

import io
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr
from labelled_for_tests import labelled
from records_for_tests import table_task, tree
from rich.console import Console

from bayesgc.analysis.tree.datatree import load, save
from bayesgc.analysis.tree.result import Result
from bayesgc.analysis.tree.summary import result_object
from bayesgc.analysis.words.numerals import rounded
from bayesgc.cli.render import print_result
from bayesgc.inference.records import Outcome


def _space(tag: re.Match[str]) -> str:
    return "" if "code" in tag[0] else " "


def text_of(result: xr.DataTree) -> str:
    """The words of its HTML before the groups."""
    html = result._repr_html_().partition("<details>")[0]
    return " ".join(re.sub(r"<style>.*?</style>|</?code>|<[^>]+>", _space, html, flags=re.DOTALL).split())


CASES = {
    "sensing": tree,
    "table": lambda: tree(table_task()),
    "nothing accepted": lambda: tree(accepted=False, outcome=Outcome.EXHAUSTED),
    "labelled": labelled,
}


@pytest.mark.parametrize("case", CASES)
def test_a_result_is_its_table_and_its_sentence(case: str) -> None:
    result = CASES[case]()
    shown, told = text_of(result), result_object(result)
    assert isinstance(result, Result)
    for words in ("prior", "G&amp;C posterior", "standard error", f"seed {told['seed']}"):
        assert words in shown
    assert told["verdict"].replace("&", "&amp;") in shown.replace("&lt;", "<")
    assert (told["message"].replace("`", "") in shown) == (told["outcome"] != "converged")
    assert "<details>" in result._repr_html_()


@pytest.mark.parametrize("case", CASES)
def test_printed_it_is_what_the_command_line_shows(case: str) -> None:
    result, stream = CASES[case](), io.StringIO()
    print_result(Console(file=stream, width=80), result_object(result))
    shown, groups = str(result).split("\n\nDataTree with the groups ")
    in_python = stream.getvalue().replace("--json lists them all", "bayesgc.predict(result) has them all")
    assert shown.split() == in_python.split()
    assert "".join(groups.split()) == ",".join(result.children)
    assert repr(result) == str(result)


def test_a_part_of_a_result_is_printed_by_xarray() -> None:
    for part in (tree()["prior"], tree().filter(lambda node: node.name != "prior")):
        assert str(part).startswith("<xarray.DataTree")


def test_what_is_loaded_copied_or_pickled_shows_the_same(tmp_path: Path) -> None:
    result = tree()
    for other in (load(save(result, tmp_path / "a.nc")), result.copy(), pickle.loads(pickle.dumps(result))):
        assert isinstance(other, Result)
        assert text_of(other) == text_of(result)


def test_a_part_of_a_result_is_shown_by_xarray() -> None:
    result = tree()
    part = result["posterior"]
    assert "bayesgc-result" not in part._repr_html_()
    assert "bayesgc-result" not in result.filter(lambda node: node.name == "gd")._repr_html_()


def test_labels_from_files_stay_text() -> None:
    task = table_task()
    evil = "<script>alert(1)</script>"
    result = tree(task, reasons={"map": evil})
    assert evil not in result._repr_html_()
    assert "&lt;script&gt;" in result._repr_html_()


def test_a_table_lists_its_missing_cells() -> None:
    result = tree(table_task())
    cells = result_object(result)["unobserved"]
    words = text_of(result)
    assert "Missing cells, in the table's units, with 90 % intervals" in words.replace("&#39;", "'")
    assert rounded(cells[0]["q95"], 4) in words
    assert "Missing cells" not in text_of(tree())


# A notebook's kernel without ipywidgets, as tqdm sees it, whether or not IPython is installed.
BARE_KERNEL = (
    "import sys, types; kernel = types.ModuleType('IPython'); kernel.get_ipython = lambda: None; "
    "sys.modules.update({'ipywidgets': None, 'IPython': kernel, 'ipykernel.zmqshell': types.ModuleType('zmqshell')}); "
)


def told_at_import(of: str) -> str:
    """What a bare kernel is told on import of a module."""
    program = f"{BARE_KERNEL}import {of}, tqdm.auto; print(tqdm.auto.tqdm.__mro__[1].__module__)"
    ended = subprocess.run([sys.executable, "-W", "always", "-c", program], capture_output=True, text=True, check=True)
    assert "tqdm.notebook" not in ended.stdout
    return ended.stderr


@pytest.mark.parametrize("room", ["models", "inference", "api"])
def test_a_notebook_without_ipywidgets_gets_no_warning(room: str) -> None:
    assert "TqdmWarning" not in told_at_import(f"bayesgc.{room}")


def test_tqdm_itself_warns_such_a_notebook() -> None:
    """The control: without the package's filter the same kernel is warned."""
    assert "TqdmWarning" in told_at_import("tqdm.auto")
