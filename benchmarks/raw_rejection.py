"""Draws a second: this package's rejection against the plain loop and against the normals alone, in turn in one run.

    python benchmarks/raw_rejection.py [--seconds 5] [--pairs 3]

The plain loop is that of `time_to_precision`. The normals alone are those that the loop's weights take, made in blocks
that a processor's cache holds: what no way of multiplying can beat, unless it needs fewer of them.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import torch
from time_to_precision import Case, plain_loop

import bayesgc as gc

CASES = (
    Case("rejection", gc.MatrixFactorization(depth=8, width=5), 1e-9),
    Case("rejection", gc.MatrixFactorization(depth=2, width=160, normalize=False), 1e-9),
)
BLOCK = 2**13


def ours(task: gc.ArrayTask, case: Case, draws: int) -> float:
    """Draws a second of the package; at a threshold that nothing passes, so that all of it is drawing and testing."""
    started = time.perf_counter()
    gc.infer(case.model, task, eps=case.eps, method="rejection", max_evaluations=draws, gd=False, map=False)
    return draws / (time.perf_counter() - started)


def normals(task: gc.ArrayTask, case: Case, seconds: float) -> float:
    """Draws a second if all that a draw took were its normals, one thread for each core."""
    size = sum(math.prod(each) for each in case.model.layer_shapes(task.shape))
    draws, done, started = max(BLOCK // size, 1), 0, time.perf_counter()
    while (elapsed := time.perf_counter() - started) < seconds:
        torch.randn(draws, size)
        done += draws
    return done / elapsed * torch.get_num_threads()


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="how long to run each part of a pair")
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    task = gc.sensing()
    for case in CASES:
        ours(task, case, 2**13)
        found = []
        for _ in range(options.pairs):
            plain, *_ = plain_loop(task, case, options.seconds)
            rate = ours(task, case, int(3 * plain * options.seconds))
            found.append((plain, rate, normals(task, case, options.seconds / 5)))
        plain, rate, bound = np.median(np.array(found) / 1e6, axis=0)
        ratio = np.median([own / loop for loop, own, _ in found])
        print(
            f"depth {case.model.depth}, width {case.model.width}: plain loop {plain:.2f} M draws/s, ours {rate:.2f}, "
            f"normals alone {bound:.2f} | ratio to the loop {ratio:.1f}, to the normals {rate / bound:.2f}"
        )


if __name__ == "__main__":
    main()
