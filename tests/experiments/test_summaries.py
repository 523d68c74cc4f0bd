"""What cells say is kept beside them: read in place of the cells, and never in place of another one."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small import assert_same_bits, small_sweep

import bayesgc as gc
from bayesgc.experiments import run_sweep, summaries
from bayesgc.experiments.store import CELLS, SUMMARIES, Store

SWEEP = small_sweep(axes={"task_seed": [0, 1]})


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    store = tmp_path_factory.mktemp("stores") / "original"
    return store, run_sweep(SWEEP, store, workers=1)


@pytest.fixture
def store(original, tmp_path) -> Path:
    return shutil.copytree(original[0], tmp_path / "store")


@pytest.fixture
def opened(monkeypatch):
    """The cells that are opened from here on."""
    found: list[str] = []

    def load(file):
        found.append(file.stem)
        return gc.load_result(file)

    monkeypatch.setattr(summaries, "load", load)
    return found


def beside(store: Path) -> tuple[Path, Path]:
    """A cell and its summary."""
    [cell, _] = sorted((store / CELLS).iterdir())
    return cell, store / SUMMARIES / f"{cell.stem}.json"


def test_it_is_what_infer_prints(store):
    cell, summary = beside(store)
    kept = json.loads(summary.read_text(encoding="utf-8"))
    assert kept["bayesgc"] == gc.__version__
    assert kept["result"] == json.loads(json.dumps(gc.result_object(gc.load_result(cell))))


def test_a_finished_sweep_opens_no_cell(original, store, opened):
    assert_same_bits(run_sweep(SWEEP, store, workers=1), original[1])
    assert opened == []


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"crc32": 0, "result": {}}'])
def test_a_summary_that_does_not_count_is_made_again(original, store, opened, content):
    cell, summary = beside(store)
    before = summary.read_bytes()
    summary.unlink() if content is None else summary.write_text(content, encoding="utf-8")
    assert_same_bits(run_sweep(SWEEP, store, workers=1), original[1])
    assert opened == [cell.stem]
    assert summary.read_bytes() == before


def test_one_that_cannot_be_kept_takes_no_cell_with_it(original, store, monkeypatch):
    _, summary = beside(store)
    summary.unlink()
    plain = Store.put

    def put(self, kind, key, content):
        if kind == SUMMARIES:
            raise gc.InputError("Cannot write: No space left on device.")
        plain(self, kind, key, content)

    monkeypatch.setattr(Store, "put", put)
    assert_same_bits(run_sweep(SWEEP, store, workers=1), original[1])
    assert not summary.exists()


def test_that_of_another_version_is_made_again(store, opened, monkeypatch):
    monkeypatch.setattr(summaries, "__version__", "0.0.9")
    run_sweep(SWEEP, store, workers=1)
    assert len(opened) == 2


def test_a_cell_that_changed_is_not_spoken_for(original, store, opened):
    first, second = sorted((store / CELLS).iterdir())
    first.write_bytes(second.read_bytes())
    found = run_sweep(SWEEP, store, workers=1)
    assert opened == [first.stem]
    losses = found["posterior_gen_loss"].values.ravel()
    assert losses[0] == losses[1]
    assert len(set(original[1]["posterior_gen_loss"].values.ravel())) == 2  # as they are told apart else
