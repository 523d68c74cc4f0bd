"""Time to log P(fit) known to ±0.1 on handwritten digits: ours, plain rejection and OpenTURNS, side by side.

    python benchmarks/networks.py [--train 16] [--repeats 5] [--seconds 30]

A perceptron with hidden layers of 20, 10, 5 and 2 units on MNIST 0 v 7 has to get all training labels right. The plain
loop draws layers with the draws in front, as one would write it; its speed is measured and the draws it needs,
1/(P · 0.1²), follow from P. OpenTURNS runs subset simulation (`pip install openturns`; without it that row is left out)
on the same score of the same standard normals as ours, with 2000 draws a level; its error is the spread over repeats,
as that which it gives does not know of common ancestors. The tools take turns. The time to ±0.1 of a run that took t
seconds and has error e is t (e/0.1)²; medians over repeats.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import math
import time

import numpy as np
import torch

import bayesgc as gc

WIDTHS, PRECISION, BATCH, LEVEL = (20, 10, 5, 2), 0.1, 1000, 2000


def plain_loop(task: gc.LabelledTask, seconds: float) -> tuple[float, int]:
    """Draws a second of the plain loop, and how many of its draws fitted."""
    inputs = torch.as_tensor(task.inputs.train, dtype=torch.float32).flatten(1)
    signs = 2 * torch.as_tensor(task.labels) - 1
    sizes = [inputs.shape[1], *WIDTHS, 2]
    drawn = fitted = 0
    began = time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds or not drawn:
        features = inputs.T.expand(BATCH, -1, -1)
        for i, (before, after) in enumerate(itertools.pairwise(sizes)):
            features = torch.randn(BATCH, after, before) / math.sqrt(before) @ features
            features = features.relu() if i < len(WIDTHS) else features
        fitted += int((signs * (features[:, 1] - features[:, 0]) > 0).all(1).sum())  # ties are errors
        drawn += BATCH
    return drawn / elapsed, fitted


def ours(task: gc.LabelledTask, seed: int) -> tuple[float, float, float]:
    """Seconds of a run, its log P(fit) and the error of that."""
    began = time.perf_counter()
    found = gc.infer(gc.MLP(WIDTHS), task, gd=False, seed=seed)
    return time.perf_counter() - began, found.attrs["log_volume"], found.attrs["log_volume_mcse"]


def subset_simulation(task: gc.LabelledTask, seed: int) -> tuple[float, float]:
    """Seconds of a run of OpenTURNS and its log P(fit)."""
    import openturns as ot

    whitened = gc.MLP(WIDTHS).whiten(task.domain)

    def scores(normals: object) -> np.ndarray:
        columns = torch.as_tensor(np.asarray(normals).T.copy(), dtype=torch.float32)
        return task.score(whitened.vectors(columns))[:, None].double().numpy()

    ot.RandomGenerator.SetSeed(seed)
    function = ot.PythonFunction(whitened.size, 1, func_sample=scores)
    scored = ot.CompositeRandomVector(function, ot.RandomVector(ot.Normal(whitened.size)))
    method = ot.SubsetSampling(ot.ThresholdEvent(scored, ot.Less(), 0.0))
    method.setBlockSize(LEVEL // 10)
    method.setMaximumOuterSampling(10)
    began = time.perf_counter()
    method.run()
    found = method.getResult().getProbabilityEstimate()
    return time.perf_counter() - began, math.log(found) if found > 0 else -math.inf


def main() -> None:
    """Measure in turn, and print the times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to run the plain loop in all")
    options = parser.parse_args()
    task = gc.mnist(classes=(0, 7), train=options.train, balanced=True, seed=0)
    there = importlib.util.find_spec("openturns") is not None
    loops, runs, others = [], [], []
    for seed in range(options.repeats):
        loops.append(plain_loop(task, options.seconds / options.repeats))
        runs.append(ours(task, seed))
        others += [subset_simulation(task, seed)] if there else []
    times = [seconds * (error / PRECISION) ** 2 for seconds, _, error in runs]
    volume = float(np.mean([found for _, found, _ in runs]))
    rate = float(np.median([each for each, _ in loops]))
    needed = math.exp(-volume) / PRECISION**2 / rate
    print(f"n = {options.train}; ours: log P(fit) {[round(each, 3) for _, each, _ in runs]}, mean {volume:.3f}")
    print(f"ours: {np.median([each for each, *_ in runs]):.1f} s a run, {np.median(times):.2f} s to ±{PRECISION}")
    expected = rate * options.seconds * math.exp(volume)
    print(f"plain loop: {rate:.0f} draws/s, {sum(each for _, each in loops)} fits where {expected:.2f} were expected")
    print(f"plain loop: {needed:.3g} s to ±{PRECISION}, ratio {needed / np.median(times):.3g}")
    if there:
        seconds, found = (np.array(each) for each in zip(*others, strict=True))
        lost = int((~np.isfinite(found)).sum())
        shown = found.round(2).tolist()
        print(f"OpenTURNS: {np.median(seconds):.1f} s a run, log P(fit) {shown}, {lost} without a fit")
        if not lost:
            equal = float(np.median(seconds)) * (found.std(ddof=1) / PRECISION) ** 2
            print(f"OpenTURNS: {equal:.1f} s to ±{PRECISION} by its spread, ratio {equal / np.median(times):.3g}")


if __name__ == "__main__":
    main()
