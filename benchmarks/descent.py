"""Processor time of a step of gradient descent: ours and a plain loop with automatic differentiation, side by side.

    python benchmarks/descent.py [--steps 2000] [--repeats 5] [--restarts 32]

The plain loop is what one would write: all restarts in one batch of matrix products, automatic differentiation, and the
same optimizer. It keeps no first passages and stops nowhere; ours does all that `bayesgc infer` does, at a tolerance of
zero, so that every step is made. Both run on one thread and take turns; medians over repeats.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

import bayesgc as gc
from bayesgc.inference import Control, Criterion


@dataclass(frozen=True)
class Case:
    """A model on so many tasks."""

    model: gc.MatrixFactorization | gc.CPFactorization
    tasks: list[gc.ArrayTask]


def sensing(count: int) -> list[gc.ArrayTask]:
    """The paper's tasks."""
    return [gc.sensing(rows=5, cols=5, rank=1, measurements=15, seed=seed) for seed in range(count)]


CASES = {
    "depth 2, width 5": Case(gc.MatrixFactorization(depth=2, width=5), sensing(1)),
    "depth 8, width 5": Case(gc.MatrixFactorization(depth=8, width=5), sensing(1)),
    "depth 8, width 5, tanh": Case(gc.MatrixFactorization(depth=8, width=5, activation="tanh"), sensing(1)),
    "depth 2, width 160": Case(gc.MatrixFactorization(depth=2, width=160), sensing(1)),
    "depth 8, width 5, 8 tasks": Case(gc.MatrixFactorization(depth=8, width=5), sensing(8)),
    "CP of 4x4x4, width 16": Case(gc.CPFactorization(2, 16), [gc.sensing(shape=(4, 4, 4), rank=1, measurements=38)]),
}


def ours(case: Case, restarts: int, steps: int) -> None:
    """Descend from small starts."""
    whitened = case.model.whiten(case.tasks[0].shape)
    criteria = [Criterion(task, whitened, 0.0035, torch.device("cpu"), torch.float32) for task in case.tasks]
    method = gc.GradientDescent(restarts=restarts, steps=steps, tol=0.0)
    method.run_together(case.model, criteria, 0, Control())


def plain(case: Case, restarts: int, steps: int) -> None:
    """The same steps by automatic differentiation."""
    shape, rows = case.tasks[0].shape, restarts * len(case.tasks)
    activation = torch.tanh if case.model.activation == "tanh" else torch.nn.Identity()
    layers = [(0.1 * torch.randn(rows, *size)).requires_grad_() for size in case.model.layer_shapes(shape)]
    matrices = torch.stack([torch.as_tensor(task.measurements.dense()).float() for task in case.tasks])
    targets = torch.stack([torch.as_tensor(task.targets).float() for task in case.tasks])
    average = torch.zeros(rows)
    for step in range(1, steps + 1):
        if isinstance(case.model, gc.CPFactorization):
            third, second, last = layers
            value = torch.einsum("sia,saj,sak->sijk", last, second, third)
        else:
            value = layers[0]
            for layer in layers[1:]:
                value = layer @ activation(value)
        measured = torch.einsum("tne,tse->tsn", matrices, value.reshape(len(case.tasks), restarts, -1))
        loss = (measured - targets[:, None]).square().mean(-1).sum()
        gradients = torch.autograd.grad(loss, layers)
        with torch.no_grad():
            norm = sum(each.square().sum((1, 2)) for each in gradients)
            average = 0.99 * average + 0.01 * norm
            scale = 1e-2 / ((average / (1 - 0.99**step)).sqrt() + 1e-6)
            for layer, gradient in zip(layers, gradients, strict=True):
                layer.sub_(scale[:, None, None] * gradient)


def seconds(work: Callable[[], None]) -> float:
    """Processor time."""
    began = time.process_time()
    work()
    return time.process_time() - began


def main() -> None:
    """Measure in turn, and print times and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--restarts", type=int, default=32)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"seconds in 1000 steps of {options.restarts} restarts: ours, the plain loop, ratio")
    for name, case in CASES.items():
        for loop in (ours, plain):
            loop(case, options.restarts, 50)
        runs = [
            [seconds(lambda: loop(case, options.restarts, options.steps)) for loop in (ours, plain)]  # noqa: B023
            for _ in range(options.repeats)
        ]
        mine, theirs = np.median(runs, axis=0) * 1000 / options.steps
        print(f"{name:26s} {mine:8.3f} {theirs:8.3f} {theirs / mine:6.1f}")


if __name__ == "__main__":
    main()
