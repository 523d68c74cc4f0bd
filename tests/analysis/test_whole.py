"""Every file is there as a whole or not at all, and of two that want one name each gets its own."""

from __future__ import annotations

import errno
import functools
import os
import resource
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import xarray as xr
from matplotlib.figure import Figure
from records_for_tests import tree

from bayesgc.analysis.plots.look import save_figure
from bayesgc.analysis.report import write_report
from bayesgc.analysis.report.page import Page
from bayesgc.analysis.report.result import result_page
from bayesgc.analysis.tree import whole
from bayesgc.analysis.tree.storage import load, save, save_new
from bayesgc.experiments.dataset import export_zarr
from bayesgc.validate import InputError

WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "result.nc": lambda file, source: save(tree(), file),
    "new.nc": lambda file, source: save_new(tree(), [file]),
    "picture.png": lambda file, source: save_figure(Figure(), file),
    "picture.svg": lambda file, source: save_figure(Figure(), file),
    "picture.pdf": lambda file, source: save_figure(Figure(), file),
    "page.html": lambda file, source: write_report(source, file),
}


@functools.cache
def page_of_the_result() -> Page:
    return result_page(tree(), Path("source.nc"))


@pytest.fixture
def one_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pictures of the page are drawn once for all: how it is written is what is looked at here."""
    monkeypatch.setattr("bayesgc.analysis.report.result.result_page", lambda *_: page_of_the_result())


CAUSES = {errno.ENOSPC: "No space left.*MiB free.*make room", errno.EFBIG: "ulimit -f", errno.EROFS: "writable folder"}


@pytest.mark.usefixtures("one_page")
@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("number", CAUSES)
def test_a_write_that_fails_names_its_cause_and_leaves_nothing(
    name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = save(tree(), tmp_path / "source.nc"), tmp_path / "folder"
    folder.mkdir()

    def fail(_: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError, match=f"Cannot write .*{name}: .*{CAUSES[number]}"):
        WRITERS[name](folder / name, source)
    assert list(folder.iterdir()) == []


@pytest.mark.usefixtures("one_page")
@pytest.mark.parametrize("name", [name for name in WRITERS if name != "new.nc"])
def test_what_was_there_before_survives_an_interruption(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, folder = save(tree(), tmp_path / "source.nc"), tmp_path / "folder"
    folder.mkdir()
    WRITERS[name](folder / name, source)
    before = (folder / name).read_bytes()

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        WRITERS[name](folder / name, source)
    assert (folder / name).read_bytes() == before
    assert [file.name for file in folder.iterdir()] == [name]


SAVE = (
    "import resource; from records_for_tests import tree; from bayesgc.analysis.tree.storage import save; "
    "result = tree(); "
    "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)); save(result, 'result.nc')"
)


def test_no_room_on_the_disk_itself_ends_in_an_error_and_no_crash(tmp_path: Path) -> None:
    assert resource.RLIMIT_FSIZE is not None
    program = f"import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); {SAVE}"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stderr  # by its exception; a negative one is a crash
    assert "InputError: Cannot write result.nc: File too large" in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_two_that_save_at_once_get_a_name_each(tmp_path: Path) -> None:
    names = [tmp_path / f"run-{i}" for i in range(8)]
    together, taken = threading.Barrier(8), []

    def write(place: int) -> None:
        together.wait()
        taken.append((whole.write_new(names, f"{place}".encode()), place))

    threads = [threading.Thread(target=write, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(path for path, _ in taken) == names
    assert all(path.read_text() == str(place) for path, place in taken)
    assert sorted(tmp_path.iterdir()) == names


def test_a_name_that_was_free_a_moment_ago_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "run.nc").write_text("somebody else's")
    made = tree()
    saved = save_new(made, iter([tmp_path / "run.nc", tmp_path / "run-2.nc"]))
    assert saved.name == "run-2.nc"
    assert (tmp_path / "run.nc").read_text() == "somebody else's"
    xr.testing.assert_identical(load(saved), made)


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "latest").symlink_to(tmp_path / "there" / "first")
    whole.write(tmp_path / "latest", b"content")
    assert (tmp_path / "latest").is_symlink()
    assert (tmp_path / "there" / "first").read_bytes() == b"content"


def test_zarr_is_replaced_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("zarr")
    dataset = xr.Dataset({"loss": ("depth", [1.0, 2.0])}, attrs={"creation_library": "bayesgc"})
    folder = export_zarr(dataset, tmp_path / "sweep.zarr")

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    for _ in range(2):
        export_zarr(dataset, folder)
    monkeypatch.setattr(xr.Dataset, "to_zarr", fail)
    with pytest.raises(InputError, match="No space left"):
        export_zarr(dataset + 1, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["sweep.zarr"]
    assert xr.open_zarr(folder)["loss"].values.tolist() == [1.0, 2.0]
