"""Where each latent site of a Pyro program stands in a column of numbers.

A site with a transport is a function of standard normals, and those stand in the column. A site without one is carried:
its values stand in the column themselves, below all normals, and are redrawn from the program.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pyro
import torch
from pyro.infer.inspect import get_dependencies
from pyro.poutine.util import site_is_subsample
from torch import Tensor

from bayesgc.models.transports.registry import Law, find_transport, innermost
from bayesgc.plugins import blame
from bayesgc.validate import InputError

Program = Callable[[], Tensor]


@dataclass(frozen=True)
class Site:
    """One latent site: the rows of the column that hold it, in which shape.

    ``law`` and ``dtype`` are those of one plain run. ``depends`` says of a carried site whether its distribution
    depends on other latent sites, and ``follows`` whether on a carried one among those that do.
    """

    start: int
    shape: tuple[int, ...]
    law: Law
    dtype: torch.dtype
    carried: bool
    depends: bool = False
    follows: bool = False

    @property
    def rows(self) -> slice:
        """The rows of the column."""
        return slice(self.start, self.start + math.prod(self.shape))

    @property
    def unit(self) -> int:
        """How many neighbouring entries are one draw: entries of one event depend on each other."""
        return math.prod(innermost(self.law).event_shape)


@dataclass(frozen=True)
class Layout:
    """The latent sites of a program, and what else one plain run shows.

    ``subsamples`` are the indices that its plates drew, which stay as they are.
    """

    sites: dict[str, Site]
    subsamples: dict[str, Tensor]

    @property
    def size(self) -> int:
        """Rows of a column."""
        return sum(math.prod(site.shape) for site in self.sites.values())

    @property
    def normals(self) -> int:
        """Rows of standard normals, which come first."""
        return sum(math.prod(site.shape) for site in self.sites.values() if not site.carried)

    @property
    def carried(self) -> list[Site]:
        """The sites without a transport."""
        return [site for site in self.sites.values() if site.carried]


def layout_of(program: Program, shape: tuple[int, ...], who: str, *, branches: bool = False) -> Layout:
    """The layout of a program, from one plain run that checks its contract.

    Where it ``branches`` on drawn values, what depends on them cannot be told: each site counts as depending on all
    before it.

    Raises:
        InputError: where the run fails or breaks the contract, naming the program as ``who``.
    """
    with torch.random.fork_rng(devices=[]), blame(who):
        # Not `torch.manual_seed`, which seeds every accelerator as well.
        torch.default_generator.manual_seed(0)
        trace = pyro.poutine.trace(program).get_trace()
    _check_value(trace.nodes["_RETURN"]["value"], shape, who)
    latent = {name: site for name, site in trace.nodes.items() if site["type"] == "sample" and not site["is_observed"]}
    subsamples = {name: site["value"] for name, site in latent.items() if site_is_subsample(site)}
    aside = {*subsamples, *(name for name, site in latent.items() if "_do_not_trace" in site["infer"])}
    latent = {name: site for name, site in latent.items() if name not in aside}
    if not latent:
        raise InputError(f"{who} has no latent sample site; there is nothing to condition.")
    moved = {name: site for name, site in latent.items() if find_transport(site["fn"]) is not None}
    carried = {name: site for name, site in latent.items() if name not in moved}
    above = {} if not carried else _all_before(list(latent)) if branches else _ancestors(program, list(latent))
    sites, start = {}, 0
    for name, site in {**moved, **carried}.items():
        law, value = site["fn"], site["value"]
        if name in moved:
            transport = find_transport(law)
            own = tuple(law.batch_shape) + (transport.normals(law) if transport else ())
            sites[name] = Site(start, own, law, value.dtype, carried=False)
        else:
            follows = any(sites[each].depends for each in above[name] & set(carried) & set(sites))
            sites[name] = Site(start, tuple(value.shape), law, value.dtype, True, bool(above[name]), follows)
        start += math.prod(sites[name].shape)
    # In the order in which the program meets them.
    return Layout({name: sites[name] for name in latent}, subsamples)


def _check_value(value: object, shape: tuple[int, ...], who: str) -> None:
    if not isinstance(value, Tensor) or tuple(value.shape) != shape:
        got = f"the shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise InputError(f"{who} returned {got}; it must return one tensor of the task's shape {shape}.")
    if not value.is_floating_point():
        raise InputError(f"{who} returned a tensor of {value.dtype}; it must be of a floating-point type.")


def _ancestors(program: Program, latent: list[str]) -> dict[str, set[str]]:
    """The latent sites that each one depends on, directly or through others.

    Pyro finds them by the densities; where a site has none, each counts as depending on all before it.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            direct = get_dependencies(program)["prior_dependencies"]
    except NotImplementedError:
        return _all_before(latent)
    above: dict[str, set[str]] = {}
    for name in latent:
        parents = (set(direct.get(name, {})) - {name}) & set(latent)
        above[name] = parents.union(*(above.get(parent, set()) for parent in parents))
    return above


def _all_before(latent: list[str]) -> dict[str, set[str]]:
    return {name: set(latent[:place]) for place, name in enumerate(latent)}
