"""Budgets, interruption, worker threads, and the names of devices and methods."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest
import torch

from bayesgc.inference import (
    Control,
    Outcome,
    Rejection,
    Splitting,
    device_named,
    dtype_named,
    interruptible,
    method_named,
)
from bayesgc.inference.automatic import Automatic
from bayesgc.inference.control import in_order, one_thread_each
from bayesgc.validate import InputError

CPU = torch.device("cpu")


def test_what_is_left_after_a_part_of_a_run():
    control = Control(max_seconds=5.0, max_evaluations=100)
    rest = control.after(30)
    assert (rest.max_evaluations, rest.started, rest.max_seconds) == (70, control.started, 5.0)
    assert control.after(200).max_evaluations == 0
    assert Control().after(30).max_evaluations is None
    control.interrupt()
    assert rest.interrupted


def test_evaluations_and_their_shares():
    control = Control(max_evaluations=100)
    assert control.affords(100)
    assert not control.affords(101)
    assert control.affords(25, share=0.25)
    assert not control.affords(26, share=0.25)
    assert Control().affords(10**15)


def test_time_and_interruption():
    assert not Control().out_of_time()
    late = Control(max_seconds=10.0, started=time.perf_counter() - 6)
    assert not late.out_of_time()
    assert late.out_of_time(share=0.5)
    assert late.failure() is Outcome.EXHAUSTED
    late.interrupt()
    assert late.out_of_time()
    assert late.failure() is Outcome.INTERRUPTED


def test_the_first_interrupt_asks_and_the_second_ends():
    control = Control()
    before = signal.getsignal(signal.SIGINT)

    def interrupt_twice():
        with interruptible(control):
            os.kill(os.getpid(), signal.SIGINT)
            assert control.interrupted
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        interrupt_twice()
    assert signal.getsignal(signal.SIGINT) is before


def test_outside_the_main_thread_signals_are_left_alone():
    seen = []

    def enter():
        with interruptible(Control()):
            seen.append(signal.getsignal(signal.SIGINT))

    worker = threading.Thread(target=enter)
    worker.start()
    worker.join()
    assert seen == [signal.getsignal(signal.SIGINT)]


@pytest.mark.parametrize("count", [1, 2])
def test_results_come_in_order(count, threads):
    threads(count)

    def slow_when_even(job):
        time.sleep(0.002 * (job % 2 == 0))
        return job, torch.get_num_threads()

    found = list(in_order(slow_when_even, range(30), CPU))
    assert found == [(job, 1) for job in range(30)]
    assert torch.get_num_threads() == count


def test_jobs_without_end_stop_when_nobody_asks():
    started = []

    def job(number):
        started.append(number)
        return number

    jobs = in_order(job, iter(int, 1), CPU)
    assert next(jobs) == 0
    jobs.close()
    assert len(started) < 20


def test_an_error_in_a_worker_comes_out():
    def fails(job):
        raise ZeroDivisionError(job)

    with pytest.raises(ZeroDivisionError):
        list(in_order(fails, range(5), CPU))


def test_the_number_of_threads_is_given_back(threads):
    threads(2)
    with one_thread_each() as allowed:
        assert allowed == 2
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_devices_and_dtypes_by_name():
    assert device_named("cpu") == CPU
    assert device_named("auto").type in ("cpu", "cuda")
    with pytest.raises(InputError, match=r"device is 'cuda:77'; this machine has auto, cpu"):
        device_named("cuda:77")
    assert dtype_named("float64", CPU) == torch.float64
    with pytest.raises(InputError, match="dtype is 'half'; choose one of float32, float64"):
        dtype_named("half", CPU)
    with pytest.raises(InputError, match="the device mps has float32 only"):
        dtype_named("float64", torch.device("mps"))


def test_methods_by_name():
    assert method_named("auto") == Automatic()
    assert method_named("rejection") == Rejection()
    mine = Splitting(particles=7)
    assert method_named(mine) is mine
    with pytest.raises(
        InputError, match="method is 'hmc'; choose one of auto, importance, nuts, orthants, rejection, splitting"
    ):
        method_named("hmc")
