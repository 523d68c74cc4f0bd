"""How fast a fit stops teaching anything as the width grows: the gap between prior and posterior at exactly zero loss.

    python benchmarks/width_gap.py [--tasks 8] [--plot docs/images/width-gap.png]

Linear, depth two, unnormalised, 5×5, rank one, 15 measurements. The prior's E[L_gen] is exact, 1/rows + ‖b‖²/|B|; the
posterior's is that of exact fits by collapsed importance sampling, each with its Monte Carlo error. A power c·k^(−α)
with one α for all tasks and one c for each is fitted from the width --from on. Its error is given twice: what Monte
Carlo leaves, and what the spread of the tasks' own exponents says of other tasks.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import numpy as np

import bayesgc as gc

WIDTHS = (5, 10, 20, 40, 80, 160, 320, 640, 1250, 2500, 5000, 10_000)


def gap(width: int, seed: int) -> tuple[float, float]:
    """E[L_gen] of the prior minus that of exact fits, and the error of the latter."""
    task = gc.sensing(rows=5, cols=5, rank=1, measurements=15, seed=seed)
    model = gc.MatrixFactorization(depth=2, width=width, normalize=False)
    # A few per cent of the gap, which falls like 1/width, as long as that takes less than about a million draws.
    precision = max(min(0.02, 0.3 / width), 3e-5)
    method = gc.Importance(most_draws=2**22)
    result = gc.infer(
        model, task, eps=0.0, method=method, precision=precision, seed=seed, gd=False, map=False, chains=4, draws=50
    )
    if result.attrs["outcome"] != "converged":
        raise RuntimeError(f"width {width}, task {seed}: {result.attrs['message']}")
    found = result["posterior"]["gen_loss"].attrs
    return 1 / task.shape[0] + float(task.zero_gen_loss) - found["mean"], found["mcse"]


def fit(widths: np.ndarray, gaps: np.ndarray, errors: np.ndarray) -> tuple[float, float, float, np.ndarray]:
    """α, its Monte Carlo error, its error by the spread over tasks, and log c of each task; weighted least squares."""
    x, y, weight = np.log(widths), np.log(gaps), (gaps / errors) ** 2
    mean_x = (weight * x).sum(1, keepdims=True) / weight.sum(1, keepdims=True)
    mean_y = (weight * y).sum(1, keepdims=True) / weight.sum(1, keepdims=True)
    information = (weight * (x - mean_x) ** 2).sum(1)
    slopes = (weight * (x - mean_x) * (y - mean_y)).sum(1) / information
    slope = (information * slopes).sum() / information.sum()
    levels = mean_y[:, 0] - slope * mean_x[:, 0]
    return -slope, information.sum() ** -0.5, slopes.std(ddof=1) / math.sqrt(len(slopes)), levels


def plot(path: Path, gaps: np.ndarray, errors: np.ndarray, first: int, fitted: tuple[float, float, float]) -> None:
    """Every task in grey with 95 % bars, their geometric mean in blue, and the fitted power."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    from bayesgc.analysis.plots.look import COLOURS, LOOK

    widths, (alpha, noise, spread) = np.array(WIDTHS), fitted
    with mpl.rc_context(LOOK | {"savefig.dpi": 120}):
        figure = Figure(figsize=(3.5, 2.9), layout="constrained")
        axes = figure.subplots()
        for own, error in zip(gaps, errors, strict=True):
            axes.errorbar(widths, own, 1.96 * error, color=COLOURS["prior"], lw=0.7, elinewidth=0.7, alpha=0.7)
        middle = np.exp(np.log(gaps).mean(0))
        axes.plot(widths, middle, "o", ms=3.5, color=COLOURS["posterior"], zorder=5, label=f"{len(gaps)} tasks, mean")
        at = widths >= first
        scale = np.exp(np.mean(np.log(middle[at]) + alpha * np.log(widths[at])))
        label = f"$k^{{-{alpha:.3f}}}$, ± {noise:.3f} (draws), ± {spread:.3f} (tasks)"
        axes.plot(widths[at], scale * widths[at] ** -alpha, color=COLOURS["gd"], lw=1.2, ls=(0, (4, 2)), label=label)
        axes.set(xscale="log", yscale="log", xlabel="width $k$", ylabel="E[$L_{gen}$] of the prior − of exact fits")
        axes.legend(loc="lower left")
        axes.set_title("The wider, the less a fit teaches")
        figure.savefig(path)


def main() -> None:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, default=8)
    parser.add_argument("--from", type=int, default=40, dest="first", help="the least width of the fit")
    parser.add_argument("--plot", type=Path, default=None)
    options = parser.parse_args()
    started = time.perf_counter()
    table = np.array([[gap(width, seed) for width in WIDTHS] for seed in range(options.tasks)])
    gaps, errors = table[:, :, 0], table[:, :, 1]
    print("width  mean gap  ± Monte Carlo  ± spread over tasks  (standard errors of the mean)")
    for width, own, error in zip(WIDTHS, gaps.T, errors.T, strict=True):
        noise, spread = math.hypot(*error) / len(own), own.std(ddof=1) / math.sqrt(len(own))
        print(f"{width:5d}  {own.mean():.6f}  ± {noise:.6f}  ± {spread:.6f}")
    if (gaps <= 0).any():
        raise RuntimeError("a gap is lost in its error: a power needs more draws.")
    at = np.array(WIDTHS) >= options.first
    alpha, noise, spread, _ = fit(np.array(WIDTHS)[at], gaps[:, at], errors[:, at])
    print(f"gap ∝ k^(−α) from k = {options.first}: α = {alpha:.4f} ± {noise:.4f} (draws) ± {spread:.4f} (tasks)")
    print(f"{time.perf_counter() - started:.0f} s")
    if options.plot is not None:
        plot(options.plot, gaps, errors, options.first, (alpha, noise, spread))


if __name__ == "__main__":
    main()
