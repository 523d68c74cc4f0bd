"""How the cost grows with the problem: processor time of splitting to fixed errors, one axis at a time.

    python benchmarks/growth.py [--tasks 3] [--seconds 120] [--axes depth width] [--json FILE]

The threshold is 5 % of the loss of the zero matrix everywhere, the truth of rank one, the array normalised. Each axis
changes one thing and keeps the others: the number of measurements, the rows and columns, the width, the depth. The
exponent is the slope of log time against the log of the axis, by least squares over all tasks, with its standard error:
for 5 % error of E[L_gen], and for 0.1 in log volume. A run that its time does not suffice counts with the error that it
reached; one without any error is left out, and said.
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

PRECISION, VOLUME_ERROR = 0.05, 0.1
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
    """What one run took: log volume and its error, relative error of E[L_gen], and processor seconds."""

    axis: str
    value: int
    task: int
    outcome: str
    log_volume: float
    volume_error: float
    error: float
    seconds: float

    @property
    def equal(self) -> float:
        """Seconds to 5 % of E[L_gen]: they scale with the inverse square of the error."""
        return self.seconds * (self.error / PRECISION) ** 2

    @property
    def to_volume(self) -> float:
        """Seconds to 0.1 in log volume."""
        return self.seconds * (self.volume_error / VOLUME_ERROR) ** 2


GOALS = {"5 % of E[L_gen]": "equal", "0.1 in log volume": "to_volume"}


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
    volume, volume_error = (result.attrs.get(name, math.nan) for name in ("log_volume", "log_volume_mcse"))
    return Cost(axis, value, seed, str(result.attrs["outcome"]), volume, volume_error, error, taken)


def exponent(found: list[Cost], goal: str) -> tuple[float, float]:
    """The slope of log cost against the log of the axis, and its standard error; NaN where too little was reached."""
    kept = [each for each in found if math.isfinite(getattr(each, goal))]
    if len({each.value for each in kept}) < 2:
        return math.nan, math.nan
    line = stats.linregress(np.log([each.value for each in kept]), np.log([getattr(each, goal) for each in kept]))
    return float(line.slope), float(line.stderr)


def rows(found: list[Cost], goal: str) -> Iterator[str]:
    """A line for each value of an axis: geometric means over tasks."""
    for value in dict.fromkeys(each.value for each in found):
        same = [each for each in found if each.value == value and math.isfinite(getattr(each, goal))]
        missing = sum(each.value == value for each in found) - len(same)
        if not same:
            yield f"  {value:>4}: not reached"
            continue
        mean = math.exp(np.mean(np.log([getattr(each, goal) for each in same])))
        volume = np.mean([each.log_volume for each in same])
        lack = f", {missing} not reached" if missing else ""
        yield f"  {value:>4}: log volume {volume:7.1f}, {mean:8.2f} s{lack}"


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
        for name, goal in GOALS.items():
            slope, error = exponent(found, goal)
            print(f"{axis}: time to {name} grows as {axis}^({slope:.2f} ± {error:.2f})", *rows(found, goal), sep="\n")
        everything += found
    if options.json:
        options.json.write_text(
            json.dumps(
                [asdict(each) | {goal: getattr(each, goal) for goal in GOALS.values()} for each in everything], indent=1
            )
        )


if __name__ == "__main__":
    main()
