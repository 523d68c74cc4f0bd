"""Draws in chains that are independent of each other, whatever happens within one: for methods that walk."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.inference.criterion import Criterion
from bayesgc.inference.estimates import summarize
from bayesgc.inference.records import Draws, Summary


def draws_of_replicates(
    criterion: Criterion,
    normals: Float[Tensor, "latent chain draw"],
    generator: torch.Generator,
    *,
    weights: bool = False,
) -> Draws:
    """The record of equally weighted draws, with errors from the spread over chains.

    Args:
        criterion: what they fit.
        normals: the draws, as standard normals of the prior.
        generator: for models that draw what the training inputs do not see.
        weights: keep the weights too.
    """
    chains, count = normals.shape[1:]
    flat = normals.flatten(1)
    found = criterion.harvest(flat, criterion.score(flat), [generator], weights=weights)
    quantities = {name: values.unflatten(0, (chains, count)) for name, values in found.quantities.items()}
    sites = found.weights or {}
    return Draws(
        end_to_end=found.vectors.T.unflatten(0, (chains, count)).unflatten(-1, criterion.task.shape),
        quantities=quantities,
        summaries={name: _summary(values.numpy()) for name, values in quantities.items() if values.ndim == 2},
        weights={name: values.unflatten(0, (chains, count)) for name, values in sites.items()} or None,
    )


def _summary(values: Float[np.ndarray, "chain draw"]) -> Summary:
    means = values.astype(np.float64).mean(axis=1)
    error = means.std(ddof=1) / math.sqrt(means.size) if means.size > 1 else math.inf
    return summarize(values.ravel(), float(means.mean()), float(error))
