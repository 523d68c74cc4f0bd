"""The methods by name, and the shape they share."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, ClassVar, Protocol, runtime_checkable

from bayesgc.inference.automatic import Automatic
from bayesgc.inference.control import Control
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.importance import Importance
from bayesgc.inference.nuts import NUTS
from bayesgc.inference.records import Run
from bayesgc.inference.rejection import Rejection
from bayesgc.inference.request import Request
from bayesgc.inference.splitting import Splitting
from bayesgc.validate import InputError, one_of


@runtime_checkable
class Method(Protocol):
    """A way to condition a prior on its fit criterion: hyperparameters on a frozen object, and one call."""

    name: ClassVar[str]

    def run(self, criterion: Criterion, request: Request, control: Control) -> Run:
        """Condition, until the request is met or the budget is spent."""
        ...


METHODS: dict[str, type[Method]] = {
    "rejection": Rejection,
    "splitting": Splitting,
    "importance": Importance,
    "nuts": NUTS,
}


def method_named(value: Any) -> Method:
    """A method object, or the one of a name with its default hyperparameters; ``auto`` is `Automatic`.

    Raises:
        InputError: for an unknown name, listing the known ones, or for an object that is no method.
    """
    if not isinstance(value, str):
        if not isinstance(value, type) and isinstance(value, Method):
            return value
        raise InputError(f"method is {value!r}; give one of {', '.join(['auto', *METHODS])}, or a method object.")
    name = one_of("method", value, ["auto", *METHODS])
    return Automatic() if name == "auto" else METHODS[name]()


def hyperparameters(method: Method) -> dict[str, Any]:
    """The name and the hyperparameters of a method, for the record."""
    return {"name": method.name, **asdict(method)}  # type: ignore[call-overload]
