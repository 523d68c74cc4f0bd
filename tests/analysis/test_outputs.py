"""No command replaces what it reads, nor what is not ours."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from matplotlib.figure import Figure
from records_for_tests import tree

from bayesgc.analysis.plots.look import save_figure
from bayesgc.analysis.report import write_report
from bayesgc.analysis.tree.outputs import check_output
from bayesgc.analysis.tree.storage import save
from bayesgc.validate import InputError


def spelled_otherwise(file: Path, new: Path) -> Path:
    return file.parent / ".." / file.parent.name / file.name


def linked(file: Path, new: Path) -> Path:
    new.symlink_to(file)
    return new


def linked_hard(file: Path, new: Path) -> Path:
    new.hardlink_to(file)
    return new


@pytest.mark.parametrize("named", [spelled_otherwise, linked, linked_hard])
@pytest.mark.parametrize("force", [False, True])
def test_an_input_is_no_output_by_any_name(named: Callable[[Path, Path], Path], force: bool, tmp_path: Path) -> None:
    file = save(tree(), tmp_path / "data.nc")
    with pytest.raises(InputError, match="--out is .*, which is the input .*data.nc"):
        check_output("--out", named(file, tmp_path / "other.nc"), (".nc",), inputs=[file], force=force)
    check_output("--out", file, (".nc",), inputs=[tmp_path / "missing.nc"], force=force)


@pytest.mark.parametrize("ending", [".nc", ".png", ".svg", ".pdf", ".html"])
def test_ours_may_be_replaced_and_others_only_by_force(ending: str, tmp_path: Path) -> None:
    result = save(tree(), tmp_path / "result.nc")
    ours = tmp_path / f"ours{ending}"
    if ending == ".nc":
        save(tree(), ours)
    elif ending == ".html":
        write_report(result, ours)
    else:
        save_figure(Figure(), ours)
    theirs, empty = tmp_path / f"theirs{ending}", tmp_path / f"empty{ending}"
    theirs.write_text("bayesgc is named here")
    empty.touch()
    for file in (ours, empty, tmp_path / f"new{ending}"):
        check_output("--out", file, (ending,))
    with pytest.raises(InputError, match=r"theirs.*was not written by bayesgc.*`force=True`"):
        check_output("--out", theirs, (ending,))
    check_output("--out", theirs, (ending,), force=True)


def test_netcdf_of_others_is_not_ours(tmp_path: Path) -> None:
    for name, attributes in {"A.nc": {}, "B.nc": {"creation_library": "ArviZ", "schema": 1, "outcome": "x"}}.items():
        xr.Dataset({"A": ("row", [1.0])}, attrs=attributes).to_netcdf(tmp_path / name, engine="h5netcdf")
        with pytest.raises(InputError, match="was not written by bayesgc"):
            check_output("--out", tmp_path / name, (".nc",))


def test_what_cannot_be_written_is_refused_before_any_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "folder.nc").mkdir()
    with pytest.raises(InputError, match="which is a folder"):
        check_output("--out", tmp_path / "folder.nc", (".nc",))
    with pytest.raises(InputError, match="does not exist"):
        check_output("--out", tmp_path / "absent" / "a.nc", (".nc",))
    with pytest.raises(InputError, match="give a shorter name"):
        check_output("--out", tmp_path / f"{'a' * 250}.nc", (".nc",))

    def deny(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", deny)
    with pytest.raises(InputError, match="Read-only file system.*writable folder"):
        check_output("--out", tmp_path / "a.nc", (".nc",))


def test_a_report_is_not_written_over_its_source(tmp_path: Path) -> None:
    source = save(tree(), tmp_path / "result.nc")
    before = source.read_bytes()
    (tmp_path / "page.html").symlink_to(source)
    for force in (False, True):
        with pytest.raises(InputError, match="which is the input"):
            write_report(source, tmp_path / "page.html", force=force)
    assert source.read_bytes() == before
