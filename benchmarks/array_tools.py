"""Other tools on the paper's depth experiment, side by side in one run: dynesty and BlackJAX' nested slice sampler.

    python benchmarks/array_tools.py [--repeats 1] [--without dynesty blackjax]

Depth 8, width 5, ε = 0.0035. The tools are nested sampling of the same standard normals with the training loss turned
round as the likelihood, and end when all of their live points fit; these are then taken as independent draws, which
flatters them. Each gets the time to 5 % error of E[L_gen], by the square of the error that it has, and to 0.1 in
log P(fit). Compilation is not counted. ``pip install dynesty blackjax`` gives the tools.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

import bayesgc as gc

EPS, MODEL = 0.0035, gc.MatrixFactorization(depth=8, width=5)
SIZE = MODEL.depth * MODEL.width**2


@dataclass(frozen=True)
class Found:
    """What a run took and found: log P(fit) and E[L_gen] with their standard errors."""

    seconds: float
    log_volume: float
    log_volume_error: float
    loss: float
    loss_error: float

    def line(self, name: str) -> str:
        """For the terminal, with the times to the errors asked for."""
        relative = self.loss_error / self.loss
        return (
            f"{name}: {self.seconds:.1f} s, log P {self.log_volume:.2f} ± {self.log_volume_error:.2f}, "
            f"E[L_gen] {self.loss:.5f} ± {self.loss_error:.5f} | {self.seconds * (relative / 0.05) ** 2:.2f} s to 5 %, "
            f"{self.seconds * (self.log_volume_error / 0.1) ** 2:.1f} s to 0.1 in log P"
        )


def ours(task: gc.ArrayTask, seed: int) -> Found:
    """Splitting, with all that `infer` does beside but descent."""
    began = time.perf_counter()
    result = gc.infer(MODEL, task, eps=EPS, method="splitting", seed=seed, gd=False, map=False)
    loss, known = result["posterior"]["gen_loss"].attrs, result.attrs
    return Found(time.perf_counter() - began, known["log_volume"], known["log_volume_mcse"], loss["mean"], loss["mcse"])


def dynesty(task: gc.ArrayTask, seed: int) -> Found:
    """Static nested sampling by slices in random directions, 500 live points."""
    from dynesty import NestedSampler
    from scipy.special import ndtri

    live = 500
    measurements, targets = task.measurements.dense(), np.asarray(task.targets)

    def score(point: np.ndarray) -> float:
        value = np.linalg.multi_dot(list(point.reshape(MODEL.depth, MODEL.width, MODEL.width)[::-1]))
        value /= np.linalg.norm(value)
        return -float(np.square(measurements @ value.ravel() - targets).mean())

    sampler = NestedSampler(score, ndtri, SIZE, nlive=live, sample="rslice", rstate=np.random.default_rng(seed))
    began = time.perf_counter()
    for step in sampler.sample(dlogz=0, maxiter=10**6):
        if step.loglstar > -EPS:
            break
    seconds, log_volume = time.perf_counter() - began, float(step.logvol)
    return _nested(task, seconds, log_volume, np.asarray(sampler.live_v), live)


def blackjax(task: gc.ArrayTask, seed: int) -> Found:
    """Nested slices, 1000 live points, a tenth of them replaced at a time."""
    import jax
    import jax.numpy as jnp
    from blackjax.ns.nss import as_top_level_api

    live, tenth = 1000, 100
    measurements, targets = jnp.asarray(task.measurements.dense()), jnp.asarray(task.targets)

    def score(point: jax.Array) -> jax.Array:
        value = jnp.eye(MODEL.width)
        for layer in point.reshape(MODEL.depth, MODEL.width, MODEL.width):
            value = layer @ value
        value /= jnp.linalg.norm(value)
        return -jnp.square(measurements @ value.ravel() - targets).mean()

    sampler = as_top_level_api(
        logprior_fn=lambda point: -0.5 * (point**2).sum(), loglikelihood_fn=score, num_delete=tenth, num_inner_steps=50
    )
    key, start = jax.random.split(jax.random.key(seed))
    state = sampler.init(jax.random.normal(start, (live, SIZE)))
    step = jax.jit(sampler.step).lower(key, state).compile()
    shrinkage = sum(1 / (live - k) for k in range(tenth))
    began, log_volume = time.perf_counter(), 0.0
    while float(state.particles.loglikelihood.min()) <= -EPS:
        key, own = jax.random.split(key)
        state, _ = step(own, state)
        log_volume -= shrinkage
    return _nested(task, time.perf_counter() - began, log_volume, np.asarray(state.particles.position), live)


def _nested(task: gc.ArrayTask, seconds: float, log_volume: float, points: np.ndarray, live: int) -> Found:
    """By the errors of nested sampling at its best: √(nats / live points), and independent live points."""
    columns = torch.as_tensor(points.T.copy(), dtype=torch.float32)
    losses = task.generalisation(MODEL.whiten(task.domain).vectors(columns)).double().numpy()
    error = float(losses.std(ddof=1)) / math.sqrt(live)
    return Found(seconds, log_volume, math.sqrt(-log_volume / live), float(losses.mean()), error)


TOOLS: dict[str, Callable[[gc.ArrayTask, int], Found]] = {"dynesty": dynesty, "blackjax": blackjax}


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--without", nargs="*", choices=TOOLS, default=[])
    options = parser.parse_args()
    task = gc.sensing()
    ours(task, 0)
    for seed in range(options.repeats):
        for name, run in {"ours": ours, **TOOLS}.items():
            if name not in options.without:
                print(run(task, seed).line(name), flush=True)


if __name__ == "__main__":
    main()
