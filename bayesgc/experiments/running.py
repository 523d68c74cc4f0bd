"""One sweep from its cells to its dataset: what is missing is run, what is there is kept."""

from __future__ import annotations

import os
from pathlib import Path

import xarray as xr

from bayesgc.experiments.cell import Cell
from bayesgc.experiments.checks import check_cells
from bayesgc.experiments.dataset import collect, write_dataset
from bayesgc.experiments.jobs import CellJob, DescentJob, Job, SharedJob
from bayesgc.experiments.runners import Result, leave_to_the_caller, run_jobs
from bayesgc.experiments.store import CELLS, DESCENTS, FAILURES, Store
from bayesgc.experiments.sweep import Sweep
from bayesgc.experiments.watch import Report, SweepProgress, watched


def run_sweep(
    sweep: Sweep,
    store: str | os.PathLike[str],
    *,
    workers: int | None = None,
    scheduler: str | None = None,
    report: Report | None = None,
    progress: bool = True,
) -> xr.Dataset:
    """Run what is missing of a sweep, store every cell at once when it is finished, and return all of them.

    Interrupted or killed at any instant, the same call goes on where it stopped, to the same bits.

    Args:
        sweep: what to run.
        store: a folder, new or with an unfinished run of the same sweep, or of one that this one contains.
        workers: processes on this machine; None for one a core, 1 for none but this one. With a scheduler's address,
            the number of its workers to wait for.
        scheduler: the address of a Dask scheduler, or ``local`` for a Dask cluster on this machine.
        report: called with `SweepProgress` as it changes.
        progress: draw a bar in a terminal or notebook where there is no ``report``.

    Returns:
        The dataset that is also in ``sweep.nc``. Cells that failed are there, with their reason and without numbers.

    Raises:
        InputError: before anything runs, where a cell's options do not fit; for a store that cannot be used, or a
            scheduler that does not answer; and where worker processes cannot begin, as those of a script whose call
            does not stand under ``if __name__ == "__main__":``.
    """
    leave_to_the_caller()
    cells = sweep.cells()
    check_cells(cells)
    with Store.open(Path(store), sweep) as opened, watched(sweep.title, show=progress and report is None) as draw:
        jobs = _missing(cells, opened)
        state = SweepProgress(total=sum(len(job.keys) for job in jobs))
        tell = report or draw
        tell(state)

        def started(job: Job) -> None:
            state.running.append(job.label)
            tell(state)

        results = run_jobs(jobs, workers=workers, scheduler=scheduler, started=started)
        try:
            for job, result in results:
                state.running.remove(job.label)
                _keep(job, result, opened, state)
                tell(state)
        finally:
            results.close()
            dataset = collect(sweep, cells, opened)
            write_dataset(dataset, opened)
    return dataset


def _missing(cells: list[Cell], store: Store) -> list[Job]:
    """The jobs for all that is neither here nor in a store beside this one, each once; the longest kind first."""
    descents: dict[str, Job] = {}
    conditionings: dict[str, Job] = {}
    shared: dict[str, list[CellJob]] = {}
    for cell in cells:
        key = cell.descent_key
        if key is not None and key not in descents and not _there(store, DESCENTS, key):
            descents[key] = DescentJob.of(cell)
        if cell.key not in conditionings and not _there(store, CELLS, cell.key):
            conditionings[cell.key] = CellJob.of(cell)
            if cell.draws_key is not None:
                shared.setdefault(cell.draws_key, []).append(CellJob.of(cell))
    for together in shared.values():
        for job in together:
            del conditionings[job.key]
        conditionings[together[0].key] = SharedJob(together)
    return [*reversed(descents.values()), *reversed(conditionings.values())]


def _there(store: Store, kind: str, key: str) -> bool:
    return store.has(kind, key) or store.borrow(kind, key)


def _keep(job: Job, result: Result, store: Store, state: SweepProgress) -> None:
    """Write what a job made, or why it made nothing."""
    for part in result:
        store.put(part.kind, part.key, part.content)
    missed = sum(part.kind == FAILURES for part in result)
    state.failed += missed
    state.done += len(job.keys) - missed
