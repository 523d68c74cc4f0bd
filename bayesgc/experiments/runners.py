"""Where jobs run: in this process, on the cores of this machine, or on a Dask cluster. The results are the same.

Each runner is a generator of (job, result), in whatever order they end; closing it, as Ctrl-C does, drops what runs.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from typing import TYPE_CHECKING, Any

from bayesgc.experiments.jobs import Job, Part, execute, failed
from bayesgc.inference.version import ALGORITHM
from bayesgc.validate import InputError

if TYPE_CHECKING:
    from distributed import Client

Result = list[Part]
Finished = Generator[tuple[Job, Result], None, None]
Started = Callable[[Job], None]

ATTEMPTS = 3
"""How often a job may lose its worker before that counts as its failure."""
_PATIENCE = 10.0
"""Seconds within which a scheduler has to answer."""
_PATIENCE_WITH_WORKERS = 3600.0
"""Seconds within which the workers that were asked for have to be there; a cluster's queue takes its time."""
_LOST = f"its worker ended {ATTEMPTS} times while it ran: it may need more memory than there is"


_NOT_BEGUN = (
    "no worker process could begin. Each of them first reads the script that called run_sweep: put the call under "
    "`if __name__ == '__main__':` in a file, or ask for workers=1."
)


def run_jobs(jobs: Sequence[Job], *, workers: int | None, scheduler: str | None, started: Started) -> Finished:
    """Run the jobs in the place that the arguments name.

    Args:
        jobs: what to do.
        workers: processes on this machine, 1 for this very process, None for one a core; with a scheduler's address,
            how many of its workers to wait for.
        scheduler: the address of a Dask scheduler, or ``local`` for a Dask cluster on this machine.
        started: called with each job that begins; with a scheduler, which does not tell when that is, with each as it
            is handed over, all of them at once.
    """
    if scheduler is not None and jobs:
        return _on_dask(jobs, scheduler, workers, started)
    count = min(available_cores() if workers is None else workers, len(jobs))
    return _in_processes(jobs, count, started) if count > 1 else _here(jobs, started)


def leave_to_the_caller() -> None:
    """End a process that another one starts as its worker, where the script that it reads first runs a sweep.

    The caller is told why; two sweeps on one store could only wait for each other.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        sys.exit(1)


def available_cores() -> int:
    """The cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def _here(jobs: Sequence[Job], started: Started) -> Finished:
    for job in jobs:
        started(job)
        yield job, execute(job)


def _in_processes(jobs: Sequence[Job], workers: int, started: Started) -> Finished:
    """Each job in one of a few processes, which are replaced when they die."""
    waiting = [(job, 0) for job in reversed(jobs)]
    while waiting:
        with _pool(workers) as (pool, begun):
            running: dict[Future[Result], tuple[Job, int]] = {}
            try:
                while waiting or running:
                    # No more than can run, so that a broken pool tells which jobs ran. Those that lost a worker, their
                    # own or another's fault, then run alone.
                    while waiting and len(running) < _room(waiting[-1], running.values(), workers):
                        job, losses = waiting[-1]
                        running[pool.submit(execute, job)] = (job, losses)  # which a broken pool refuses
                        waiting.pop()
                        if not losses:
                            started(job)
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        result = future.result()
                        yield running.pop(future)[0], result
            except BrokenProcessPool:
                if not begun.is_set():
                    raise InputError(_NOT_BEGUN) from None
                for job, losses in running.values():
                    if losses + 1 < ATTEMPTS:
                        waiting.append((job, losses + 1))
                    else:
                        yield job, failed(job, _LOST)


def _room(next_up: tuple[Job, int], running: Iterable[tuple[Job, int]], workers: int) -> int:
    return 1 if any(losses for _, losses in (next_up, *running)) else workers


@contextlib.contextmanager
def _pool(workers: int) -> Iterator[tuple[ProcessPoolExecutor, Event]]:
    """Worker processes on a leash: they end at once when it is dropped, or when this process ends, however it does.

    The event is set once one of them has begun.
    """
    context = multiprocessing.get_context("spawn")
    leash, hand = context.Pipe(duplex=False)
    begun = context.Event()
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(leash, begun))
    try:
        yield pool, begun
    finally:
        hand.close()
        pool.shutdown(wait=True, cancel_futures=True)
        leash.close()


def _begin_worker(leash: Connection, begun: Event) -> None:
    """Leave Ctrl-C to the process that runs the sweep, and end when that one lets go."""
    begun.set()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(leash,), daemon=True).start()


def _end_with(leash: Connection) -> None:
    with contextlib.suppress(EOFError, OSError):
        leash.recv_bytes()
    os._exit(1)


def _on_dask(jobs: Sequence[Job], scheduler: str, workers: int | None, started: Started) -> Finished:
    """Each job on a worker of a Dask cluster, which gives those of a lost worker to another one."""
    with _client(scheduler, workers) as client:
        from distributed import as_completed
        from distributed.client import FutureCancelledError

        futures = {
            client.submit(_execute_as, job, ALGORITHM, pure=False, priority=-i): job for i, job in enumerate(jobs)
        }
        for job in jobs:
            started(job)
        try:
            for future in as_completed(futures, loop=client.loop):
                yield futures[future], _dask_result(future, futures[future])
        except (FutureCancelledError, OSError) as error:
            raise InputError(
                f"the connection to the scheduler {scheduler} was lost ({error}); "
                "what was finished is kept: the same command goes on from there."
            ) from error
        finally:
            with contextlib.suppress(OSError, RuntimeError):
                client.cancel([future for future in futures if not future.done()])


def _dask_result(future: Any, job: Job) -> Result:
    from distributed import KilledWorker

    try:
        result: Result = future.result()
    except KilledWorker as error:
        return failed(job, _LOST, str(error))
    return result


@contextlib.contextmanager
def _client(scheduler: str, workers: int | None) -> Iterator[Client]:
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise InputError("--scheduler needs Dask: pip install 'bayesgc[cluster]'.") from None
    with contextlib.ExitStack() as stack:
        if scheduler == "local":
            count = available_cores() if workers is None else workers
            cluster = LocalCluster(n_workers=count, threads_per_worker=1, processes=True, dashboard_address=None)
            address: Any = stack.enter_context(cluster)
        else:
            address = scheduler
        try:
            client = stack.enter_context(Client(address, timeout=_PATIENCE, set_as_default=False))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"--scheduler is {scheduler!r}; no Dask scheduler answers there ({' '.join(str(error).split())}). "
                "Start one by `dask scheduler`, or take --scheduler local."
            ) from None
        if workers is not None:
            _wait_for_workers(client, workers)
        _check_workers(client)
        yield client


def _wait_for_workers(client: Client, wanted: int) -> None:
    try:
        client.wait_for_workers(wanted, timeout=_PATIENCE_WITH_WORKERS)
    except TimeoutError:
        there = len(client.scheduler_info(n_workers=-1)["workers"])
        raise InputError(
            f"--workers is {wanted}; after {_PATIENCE_WITH_WORKERS / 60:.0f} minutes there are {there}. "
            "Start more by `dask worker`, or ask for fewer."
        ) from None


def _check_workers(client: Client) -> None:
    """Refuse workers whose bayesgc would give other bits than this one's."""
    try:
        versions = client.run(_algorithm_version)
    except ImportError as error:
        raise InputError(f"the workers of the scheduler cannot import bayesgc ({error}); install it there.") from None
    for worker, version in versions.items():
        if version != ALGORITHM:
            raise InputError(_of_another_version(worker, version, ALGORITHM))


def _algorithm_version() -> int:
    return ALGORITHM


def _execute_as(job: Job, version: int) -> Result:
    """`execute` on a worker, which may have come after the others were checked."""
    if version != ALGORITHM:
        from distributed import get_worker

        raise InputError(_of_another_version(get_worker().address, ALGORITHM, version))
    return execute(job)


def _of_another_version(worker: str, version: int, wanted: int) -> str:
    return f"worker {worker} has version {version} of the algorithms; this bayesgc has {wanted}."
