"""The choice of a method: collapsed importance where it serves, else splitting."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from bayesgc.inference.collapsed.importance import Importance
from bayesgc.inference.collapsed.singular import why_no_density
from bayesgc.inference.control import Control
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.islands.splitting import Splitting
from bayesgc.inference.methods import Method, register_method
from bayesgc.inference.records import Run
from bayesgc.inference.request import Request


@register_method
@dataclass(frozen=True)
class Automatic(Method):
    """Importance at ε = 0, and at ε > 0 where plain weights suffice; else splitting. The record names what ran.

    At ε > 0 a zero predictor that fits would make the weights heavy-tailed, so that is left to splitting.
    """

    importance: Importance = field(default_factory=Importance)
    splitting: Splitting = field(default_factory=Splitting)
    name: ClassVar[str] = "auto"
    fewest_chains: ClassVar[int] = Splitting.fewest_chains
    exact: ClassVar[bool] = True

    def for_noise(self) -> Method:
        """Splitting, with its own settings for such tasks."""
        return self.splitting if self == Automatic() else self

    def run(self, criterion: Criterion, request: Request, control: Control) -> Run:
        """Run the method that suits the criterion."""
        if criterion.exact:
            return self.importance.run(criterion, request, control)
        spent = 0
        if self._collapses(criterion):
            plain, spent = self.importance.plain(criterion, request, control)
            if plain is not None:
                return plain
        run = self.splitting.run(criterion, request, control.after(spent))
        return replace(run, evaluations=spent + run.evaluations)

    @staticmethod
    def _collapses(criterion: Criterion) -> bool:
        collapsed = criterion.collapsed
        if collapsed is None or criterion.array.zero_train_loss < criterion.eps:
            return False
        return why_no_density(criterion.array, collapsed, criterion.eps) is None
