"""Time to log P(fit) known to ±0.1 on handwritten digits: ours, plain rejection and other tools, side by side.

    python benchmarks/networks.py [--train 16] [--repeats 5] [--seconds 30] [--without openturns blackjax]

A perceptron with hidden layers of 20, 10, 5 and 2 units on MNIST 0 v 7 has to get all training labels right. The plain
loop draws layers with the draws in front, as one would write it; its speed is measured and the draws it needs,
1/(P · 0.1²), follow from P. OpenTURNS runs subset simulation and BlackJAX its nested slice sampler on the same score of
the same standard normals as ours (`pip install openturns blackjax`; what is not there is left out), with 2000 draws a
level; their errors are the spread over repeats, as those which they give do not know of common ancestors. The tools
take turns. The time to ±0.1 of a run that took t seconds and has error e is t (e/0.1)²; medians over repeats.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import math
import time

import numpy as np
import torch
from network_tools import nested_slices, subset_simulation

import bayesgc as gc

WIDTHS, PRECISION, BATCH = (20, 10, 5, 2), 0.1, 1000
OTHERS = {"openturns": ("OpenTURNS", subset_simulation), "blackjax": ("BlackJAX", nested_slices)}


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


def main() -> None:
    """Measure in turn, and print the times and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--train", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=30.0, help="how long to run the plain loop in all")
    parser.add_argument("--without", nargs="*", default=[], choices=list(OTHERS), help="tools to leave out")
    options = parser.parse_args()
    task = gc.mnist(classes=(0, 7), train=options.train, balanced=True, seed=0)
    there = [name for name in OTHERS if name not in options.without and importlib.util.find_spec(name) is not None]
    loops, runs = [], []
    others: dict[str, list[tuple[float, float]]] = {name: [] for name in there}
    for seed in range(options.repeats):
        loops.append(plain_loop(task, options.seconds / options.repeats))
        runs.append(ours(task, seed))
        for name in there:
            others[name].append(OTHERS[name][1](task, WIDTHS, seed))
    times = [seconds * (error / PRECISION) ** 2 for seconds, _, error in runs]
    volume, own = float(np.mean([found for _, found, _ in runs])), float(np.median(times))
    rate = float(np.median([each for each, _ in loops]))
    needed = math.exp(-volume) / PRECISION**2 / rate
    print(f"n = {options.train}; ours: log P(fit) {[round(each, 3) for _, each, _ in runs]}, mean {volume:.3f}")
    print(f"ours: {np.median([each for each, *_ in runs]):.1f} s a run, {own:.2f} s to ±{PRECISION}")
    expected = rate * options.seconds * math.exp(volume)
    print(f"plain loop: {rate:.0f} draws/s, {sum(each for _, each in loops)} fits where {expected:.2g} were expected")
    print(f"plain loop: {needed:.3g} s to ±{PRECISION}, ratio {needed / own:.3g}")
    for name, found in others.items():
        report(OTHERS[name][0], found, volume, own)


def report(title: str, found: list[tuple[float, float]], volume: float, own: float) -> None:
    """What another tool's repeats came to, beside our log P(fit) and our seconds."""
    seconds, volumes = (np.array(each) for each in zip(*found, strict=True))
    lost = int((~np.isfinite(volumes)).sum())
    print(f"{title}: {np.median(seconds):.1f} s a run, log P(fit) {volumes.round(2).tolist()}, {lost} without a fit")
    if lost or len(volumes) < 2:
        return
    spread = float(volumes.std(ddof=1))
    equal = float(np.median(seconds)) * (spread / PRECISION) ** 2
    print(f"{title}: {equal:.1f} s to ±{PRECISION} by its spread, ratio {equal / own:.3g}")
    print(f"{title}: its mean less ours {volumes.mean() - volume:.2f} ± {spread / len(volumes) ** 0.5:.2f}")


if __name__ == "__main__":
    main()
