"""NUTS (Hoffman and Gelman 2014) on the collapsed density: Pyro's sampler over the hidden layers given the fit.

The chains move in the standard normals of the hidden layers, and at ε > 0 in those of the residual as well; the last
layer is then drawn from its exact conditional. The density is that of `importance`, found by another road: the two
check each other. It gives the posterior and no evidence.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from bayesgc.correlated import ErrorRule, mean_error
from bayesgc.inference.collapsed.chains import Chain
from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.inference.control import Control, OutOfTime, Progress, one_thread_each
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.methods import CollapsedMethod, register_method
from bayesgc.inference.mixing import Mixing, mixing, summarize_chains
from bayesgc.inference.records import Draws, Outcome, Run
from bayesgc.inference.request import Request
from bayesgc.inference.streams import Stream, generator
from bayesgc.inference.target import Harvest
from bayesgc.validate import InputError, integer_in, positive_integer, real_in

_COMPLETION = 0.1
"""The part of the time that is kept back for the last layers of the draws."""
_MIXED = ("train_loss", "effective_rank", "nuclear_norm")
"""What must have mixed, beside E[L_gen | hidden layers]."""


@register_method
@dataclass(frozen=True)
class NUTS(CollapsedMethod):
    """The No-U-Turn sampler, chain after chain.

    Args:
        warmup: transitions of each chain that adapt its step size and mass matrix, and are thrown away.
        target_accept: the mean acceptance that the step size aims at; higher for fewer divergences and slower moves.
        max_tree_depth: a transition makes at most 2 to this power leapfrog steps.
        most_divergent: the share of divergent transitions above which the draws are not to be trusted.
    """

    warmup: int = 150
    target_accept: float = 0.9
    max_tree_depth: int = 8
    most_divergent: float = 0.01
    name: ClassVar[str] = "nuts"
    defaults: ClassVar[Request] = Request(precision=0.05, chains=4, draws=250)
    errors: ClassVar[ErrorRule] = ErrorRule.CHAINS
    usual_evaluations: ClassVar[float] = 1e6

    def __post_init__(self) -> None:
        positive_integer("warmup", self.warmup)
        real_in("target_accept", self.target_accept, 0, 0.999, open_low=True)
        integer_in("max_tree_depth", self.max_tree_depth, 1, 12)
        real_in("most_divergent", self.most_divergent, 0, 1)

    def run(self, criterion: Criterion, request: Request, control: Control) -> Run:
        """Chains of doubling length until they have mixed and the error is small enough."""
        # One chain is far too little work for an accelerator.
        target = replace(self.target(criterion, torch.device("cpu")), check=control.check_time)
        if target.latent_size == 0:
            raise InputError(f"{self.name} has nothing to sample at depth 1 and eps = 0; importance is exact there.")
        own = control.part(_COMPLETION)
        with one_thread_each():
            sampling = _Sampling(self, target, request.filled(self.defaults), own)
            outcome = sampling.run()
        complaint = sampling.complaint()
        return Run(
            method=self.name,
            errors=self.errors,
            outcome=outcome,
            message=outcome.advice if complaint is None else _message(outcome, complaint),
            eps=criterion.eps,
            posterior=sampling.draws(),
            log_volume=None,
            log_evidence=None,
            levels=None,
            diagnostics=sampling.diagnostics(),
            evaluations=sampling.evaluations,
            seconds=control.seconds,
        )


def _message(outcome: Outcome, complaint: str) -> str:
    if outcome is Outcome.STALLED:
        return f"More draws will not help: {complaint}. Raise target_accept, or use `method=importance`."
    return f"{outcome.advice} For now {complaint}."


class _Sampling:
    """The chains of one run."""

    def __init__(self, method: NUTS, target: CollapsedCriterion, request: Request, control: Control) -> None:
        self.method, self.target, self.request, self.control = method, target, request, control
        self.wanted = int(request.draws or 1)
        self.chains = [self._open(index) for index in range(int(request.chains or 1))]
        self._harvests: list[Harvest] = []

    @property
    def evaluations(self) -> int:
        """Gradients of the density so far."""
        return sum(chain.evaluations for chain in self.chains)

    def run(self) -> Outcome:
        """Make the chains longer until nothing is left to complain of, or the budget is spent."""
        length, control = self.wanted, self.control
        while True:
            complete = all(self._extend(number, length) for number in range(len(self.chains)))
            self._harvest()
            # Also when the budget is spent: a stop that it sets is no lucky moment.
            if self.complaint() is None and not control.interrupted:
                return Outcome.CONVERGED
            if not complete:
                return control.failure()
            if self._divergent_share() > self.method.most_divergent:
                return Outcome.STALLED
            length *= 2

    def complaint(self) -> str | None:
        """What keeps the draws from being good enough, in a few words."""
        if not self._harvests:
            return "no time was left to complete the draws" if self._used() else "no chain has got beyond its warm-up"
        if self._divergent_share() > self.method.most_divergent:
            return f"{self._divergent_share():.1%} of the transitions diverged"
        if len(self._used()) < len(self.chains):
            return f"only {len(self._used())} of {len(self.chains)} chains are as long as was asked for"
        return self._mixing().complaint(len(self.chains)) or self._imprecision()

    def diagnostics(self) -> dict[str, float | int | str]:
        """R-hat, effective sample sizes and divergences, on quantities of the end-to-end matrix."""
        if not self._harvests:
            return {"draws": 0}
        found = self._mixing()
        return {
            "draws": self._length(),
            "r_hat": found.r_hat,
            "ess_bulk": found.bulk,
            "ess_tail": found.tail,
            "divergences": int(sum(chain.diverging[: self._length()].sum() for chain in self._used())),
            "step_size": float(np.mean([chain.step_size for chain in self._used()])),
        }

    def draws(self) -> Draws | None:
        """The posterior: as many evenly spaced draws of each chain as were asked for; summaries from all of them."""
        if not self._harvests:
            return None
        quantities = {name: self._stack(name) for name in self._harvests[0].quantities}
        most = self.request.kept(len(self._used()))
        kept = torch.linspace(0, self._length() - 1, min(most, self._length())).round().long()
        diverging = torch.stack([chain.diverging[: self._length()] for chain in self._used()])
        return Draws(
            end_to_end=torch.stack([each.vectors.T for each in self._harvests])[:, kept].unflatten(
                -1, self.target.task.shape
            ),
            quantities={name: values[:, kept] for name, values in quantities.items()},
            summaries={
                name: summarize_chains(values.numpy(), self._expected(name))
                for name, values in quantities.items()
                if values.ndim == 2
            },
            sample_stats={"diverging": diverging[:, kept]},
            weights=self._weights(kept),
        )

    def _open(self, index: int) -> Chain:
        return Chain(
            replace(self.target, check=self.control.check),
            generator(self.request.seed, Stream.CHAIN, 2 * index, self.target.device),
            warmup=self.method.warmup,
            target_accept=self.method.target_accept,
            max_tree_depth=self.method.max_tree_depth,
        )

    def _extend(self, number: int, length: int) -> bool:
        def go_on() -> bool:
            self.control.report(self._progress(number, length))
            return not self.control.out_of_time() and self.control.affords(self.evaluations)

        return self.chains[number].extend(length, go_on)

    def _progress(self, number: int, length: int) -> Progress:
        done = sum(chain.transitions for chain in self.chains)
        total = len(self.chains) * (self.method.warmup + length)
        stage = "" if self.chains[number].transitions >= self.method.warmup else ", warm-up"
        return Progress(self.method.name, done, total, detail=f"chain {number + 1} of {len(self.chains)}{stage}")

    def _used(self) -> list[Chain]:
        """The chains that are as long as was asked for; failing those, the first one with what it has."""
        whole = [chain for chain in self.chains if len(chain) >= self.wanted]
        return whole or [chain for chain in self.chains if len(chain) > 0][:1]

    def _length(self) -> int:
        return min(len(chain) for chain in self._used())

    @torch.no_grad()
    def _harvest(self) -> None:
        """Complete every draw by its last layer, from streams of their own; none where the time does not suffice."""
        self._harvests = []
        with contextlib.suppress(OutOfTime):
            self._harvests = list(self._completed())

    def _completed(self) -> Iterator[Harvest]:
        for chain in self._used():
            normals = chain.normals[:, : self._length()]
            block = 2 * self.chains.index(chain) + 1
            source = generator(self.request.seed, Stream.CHAIN, block, self.target.device)
            yield self.target.harvest(normals, normals[0], [source], weights=self.request.weights)

    def _stack(self, name: str) -> Float[Tensor, "chain draw *rest"]:
        return torch.stack([each.quantities[name] for each in self._harvests])

    def _weights(self, kept: Tensor) -> dict[str, Tensor] | None:
        sites = [each.weights for each in self._harvests if each.weights is not None]
        return {name: torch.stack([each[name] for each in sites])[:, kept] for name in sites[0]} if sites else None

    def _expected(self, name: str) -> Float[np.ndarray, "chain draw"] | None:
        if name not in self._harvests[0].expected:
            return None
        return torch.stack([each.expected[name] for each in self._harvests]).numpy()

    def _mixing(self) -> Mixing:
        known = {name: self._stack(name).numpy() for name in _MIXED if name in self._harvests[0].quantities}
        if self.target.eps == 0:
            known.pop("train_loss")  # zero, but for rounding
        loss = self._expected("gen_loss")
        return mixing(known if loss is None else known | {"gen_loss": loss})

    def _imprecision(self) -> str | None:
        loss = self._expected("gen_loss")
        if loss is None:
            return None
        error, wanted = mean_error(loss) / float(loss.mean()), self.request.relative_error
        return None if error <= wanted else f"the relative error of E[L_gen] is {error:.1%} and not {wanted:.1%}"

    def _divergent_share(self) -> float:
        used = [chain.diverging[: self._length()] for chain in self._used()]
        return float(torch.cat(used).double().mean()) if used else 0.0
