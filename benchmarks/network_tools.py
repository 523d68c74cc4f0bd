"""Other tools on the score of `networks.py`: OpenTURNS' subset simulation and BlackJAX' nested slice sampler.

Each takes a task, hidden widths and a seed, and gives the seconds of its run and its log P(fit), −∞ where none fitted.
Neither knows the number of errors as we do: both walk down the same score of the same standard normals.
"""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import numpy as np
import torch

import bayesgc as gc

LEVEL = 2000
"""Draws a level of subset simulation, and live points of nested sampling."""
SLICES = 50
"""Slices that a new live point is moved by."""


def subset_simulation(task: gc.LabelledTask, widths: tuple[int, ...], seed: int) -> tuple[float, float]:
    """OpenTURNS: Metropolis–Hastings coordinate by coordinate, a tenth of the draws kept at each level."""
    import openturns as ot

    whitened = gc.MLP(widths).whiten(task.domain)

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


def nested_slices(task: gc.LabelledTask, widths: tuple[int, ...], seed: int) -> tuple[float, float]:
    """BlackJAX: slices in directions of the live points' covariance, a tenth of them replaced at a time.

    Compilation is not counted. It ends where half of the live points fit.
    """
    import jax
    from blackjax.ns.nss import as_top_level_api

    score, size = _score(task, widths)
    tenth = LEVEL // 10
    sampler = as_top_level_api(
        logprior_fn=lambda point: -0.5 * (point**2).sum(),
        loglikelihood_fn=lambda point: -score(point),
        num_delete=tenth,
        num_inner_steps=SLICES,
    )
    key, start = jax.random.split(jax.random.key(seed))
    state = sampler.init(jax.random.normal(start, (LEVEL, size)))
    step = jax.jit(sampler.step).lower(key, state).compile()
    shrinkage = sum(1 / (LEVEL - k) for k in range(tenth))
    began, log_volume = time.perf_counter(), 0.0
    while (fitted := float((state.particles.loglikelihood > 0).mean())) < 0.5:
        if log_volume < -50:
            return time.perf_counter() - began, -math.inf
        key, own = jax.random.split(key)
        state, _ = step(own, state)
        log_volume -= shrinkage
    return time.perf_counter() - began, log_volume + math.log(fitted)


def _score(task: gc.LabelledTask, widths: tuple[int, ...]) -> tuple[Any, int]:
    """The score of one point as a function for JAX, and how many coordinates it has.

    The first layer acts in the span of the training inputs, as ours does. Networks whose outputs are all zero have one
    score; nested sampling cannot take ties, so a last coordinate tells them apart by less than an error counts.
    """
    import jax
    import jax.numpy as jnp

    inputs = np.asarray(task.inputs.train).reshape(task.inputs.count, -1).T
    span = jnp.asarray(np.linalg.qr(inputs, mode="r") / math.sqrt(len(inputs)), dtype=jnp.float32)
    signs = jnp.asarray(2.0 * task.labels - 1.0)
    shapes = list(itertools.pairwise([len(span), *widths, 2]))
    ends = np.cumsum([before * after for before, after in shapes])

    def score(point: Any) -> Any:
        features = span
        parts = jnp.split(point[:-1], ends[:-1])
        for i, ((before, after), part) in enumerate(zip(shapes, parts, strict=True)):
            scale = 1.0 if i == 0 else before**-0.5
            features = scale * part.reshape(after, before) @ features
            features = jax.nn.relu(features) if i < len(widths) else features
        margins = signs * (features[1] - features[0])
        size = jnp.abs(margins).sum()
        violation = jnp.maximum(-margins, 0).sum() / jnp.where(size > 0, size, 1.0)
        told_apart = 1e-3 * jax.scipy.stats.norm.cdf(point[-1])
        return (margins <= 0).sum() - 1.0 + jnp.minimum(violation, 0.998) + told_apart

    return score, int(ends[-1]) + 1
