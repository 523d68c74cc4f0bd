"""How the cost grows with the problem: processor time of splitting to 5 % error of E[L_gen], one axis at a time.

    python benchmarks/growth.py [--tasks 3] [--seconds 120] [--axes depth width] [--json FILE]

The threshold is 5 % of the loss of the zero matrix everywhere, the truth of rank one, the array normalised. Each axis
changes one thing and keeps the others: the number of measurements, the rows and columns, the width, the depth. The
exponent is the slope of log time against the log of the axis, by least squares over all tasks, with its standard error.
A run that its time does not suffice counts with the error that it reached; one without any error is left out, and said.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy import stats

import bayesgc as gc

PRECISION = 0.05
AXES = {
    "measurements": (10, 20, 40, 60),
    "size": (5, 10, 20, 40),
    "width": (5, 20, 80, 320),
    "depth": (2, 4, 8, 16, 32),
}


@dataclass(frozen=True)
class Problem:
    """A square array of ``size`` rows and columns, so many measurements of it, and a factorisation."""

    size: int = 5
    measurements: int = 15
    depth: int = 2
    width: int = 5


BASES = {
    "measurements": Problem(size=10, width=10),
    "size": Problem(),
    "width": Problem(),
    "depth": Problem(),
}


@dataclass(frozen=True)
class Cost:
    """What one run took: log volume, relative error of E[L_gen], and processor seconds as run and to 5 %."""

    axis: str
    value: int
    task: int
    outcome: str
    log_volume: float
    error: float
    seconds: float

    @property
    def equal(self) -> float:
        """Seconds to 5 %: they scale with the inverse square of the error."""
        return self.seconds * (self.error / PRECISION) ** 2


def cost(axis: str, value: int, seed: int, seconds: float) -> Cost:
    """Run one problem, of which one thing is set."""
    problem = Problem(**asdict(BASES[axis]) | {axis: value})
    task = gc.sensing(problem.size, problem.size, rank=1, measurements=problem.measurements, seed=seed)
    model = gc.MatrixFactorization(depth=problem.depth, width=problem.width)
    began = time.process_time()
    result = gc.infer(
        model, task, eps="5%", method="splitting", gd=False, map=False, precision=PRECISION, max_seconds=seconds,
        progress=False,
    )  # fmt: skip
    taken = time.process_time() - began
    loss = result["posterior"]["gen_loss"].attrs if "posterior" in result else {}
    error = loss.get("mcse", math.nan) / loss.get("mean", math.nan)
    return Cost(axis, value, seed, str(result.attrs["outcome"]), result.attrs.get("log_volume", math.nan), error, taken)


def exponent(found: list[Cost]) -> tuple[float, float]:
    """The slope of log cost against the log of the axis, and its standard error; NaN where too little was reached."""
    kept = [each for each in found if math.isfinite(each.equal)]
    if len({each.value for each in kept}) < 2:
        return math.nan, math.nan
    line = stats.linregress(np.log([each.value for each in kept]), np.log([each.equal for each in kept]))
    return float(line.slope), float(line.stderr)


def rows(found: list[Cost]) -> Iterator[str]:
    """A line for each value of an axis: geometric means over tasks."""
    for value in dict.fromkeys(each.value for each in found):
        same = [each for each in found if each.value == value and math.isfinite(each.equal)]
        missing = sum(each.value == value for each in found) - len(same)
        if not same:
            yield f"  {value:>4}: not reached"
            continue
        mean = math.exp(np.mean(np.log([each.equal for each in same])))
        volume = np.mean([each.log_volume for each in same])
        lack = f", {missing} not reached" if missing else ""
        yield f"  {value:>4}: log volume {volume:7.1f}, {mean:8.2f} s to 5 %{lack}"


def main() -> None:
    """Measure, and print a table for each axis."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=120.0, help="the most that a run may take")
    parser.add_argument("--axes", nargs="+", default=list(AXES), choices=AXES)
    parser.add_argument("--json", type=Path, help="where to keep the figures")
    options = parser.parse_args()
    everything = []
    for axis in options.axes:
        found = [cost(axis, value, seed, options.seconds) for value in AXES[axis] for seed in range(options.tasks)]
        slope, error = exponent(found)
        print(f"{axis}: time grows as {axis}^({slope:.2f} ± {error:.2f})", *rows(found), sep="\n")
        everything += found
    if options.json:
        options.json.write_text(json.dumps([asdict(each) | {"equal": each.equal} for each in everything], indent=1))


if __name__ == "__main__":
    main()
