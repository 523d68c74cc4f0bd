"""Arguments and results checked against their annotations, each kind of call a few times.

Whether a call agrees with annotations such as ``Float[Tensor, "latent draw"]`` is settled by its types, element types
and shapes, and most calls of a run are of a kind that came before. What the checker said of a kind is remembered here,
and of a function of which hundreds of calls brought nothing new only some are looked at from then on, so that checking
does not take most of the time of the tests.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import threading
from collections import Counter
from collections.abc import Callable, Hashable
from typing import Any

import jaxtyping
import numpy as np
import torch

CHECKS = 3
"""Checks of a kind before it is known: of a list the checker looks at one item, drawn at random."""
SETTLED, SOME = 500, 8
"""Calls in a row of known kinds after which one in so many is looked at, until one is not known."""
LONGEST = 100
"""Items of a container, above which nothing is remembered."""
ARRAYS: set[type] = {torch.Tensor, np.ndarray}
CONTAINERS = {tuple, list, dict, set, frozenset}
OTHERS: set[type] = set()
"""Types of which an annotation looks at nothing but the type."""

_plain = jaxtyping.jaxtyped


def kind(value: Any) -> Hashable:
    """All of a value that an annotation looks at: of strings and classes themselves, of containers their items."""
    of = type(value)
    if of in OTHERS:
        return of
    if of is str or of is type:
        return value
    if of in ARRAYS:
        return of, value.dtype, value.shape
    if of in CONTAINERS:
        if len(value) > LONGEST:
            return object()  # like nothing before
        items = map(kind, value)
        return (of, *items, *map(kind, value.values())) if of is dict else (of, *items)
    if isinstance(value, (torch.Tensor, np.ndarray)):
        ARRAYS.add(of)
        return kind(value)
    if isinstance(value, type):
        return value
    OTHERS.add(of)
    return of


class Known(set[Hashable]):
    """Kinds of which the checker has seen enough."""

    def __init__(self) -> None:
        self._checks: Counter[Hashable] = Counter()

    def checked(self, each: Hashable) -> None:
        self._checks[each] += 1
        if self._checks[each] == CHECKS:
            self.add(each)


class Answer:
    """A function in all that its checker sees, which gives a result that is there already."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.__globals__ = function.__globals__
        self.result: Any = None

    def __call__(self, *_: Any, **__: Any) -> Any:
        return self.result


def checked(function: Any = None, *, typechecker: Any) -> Any:
    """In place of ``jaxtyped``: the same checks, but for kinds of calls and results that are known."""
    if function is None:
        return functools.partial(checked, typechecker=typechecker)
    if inspect.isclass(function):
        if dataclasses.is_dataclass(function) and not hasattr(function.__init__, "known_calls"):
            function.__init__ = checked(function.__init__, typechecker=typechecker)
        return function
    return _remembering(function, functools.partial(_plain, typechecker=typechecker))


def _remembering(function: Callable[..., Any], check: Callable[..., Any]) -> Callable[..., Any]:
    answer, alone = Answer(function), threading.RLock()
    calls, results, since = Known(), Known(), 0
    # Made when they are needed: most functions are not called by one process, and making a checker takes its time.
    whole, only_result = functools.cache(lambda: check(function)), functools.cache(lambda: check(answer))

    @functools.wraps(function)
    def remembering(*args: Any, **kwargs: Any) -> Any:
        nonlocal since
        __tracebackhide__ = True
        since += 1
        if jaxtyping.config.jaxtyping_disable or (since > SETTLED and since % SOME):
            return function(*args, **kwargs)
        call = kind(args), kind(kwargs) if kwargs else None
        if call not in calls:
            since = 0
            result = whole()(*args, **kwargs)
            calls.checked(call)
            return result
        result = function(*args, **kwargs)
        both = call, kind(result)
        if both not in results:
            since = 0
            with alone:
                answer.result = result
                only_result()(*args, **kwargs)
                answer.result = None
            results.checked(both)
        return result

    remembering.known_calls = calls
    return remembering
