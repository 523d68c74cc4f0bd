"""All that options stand for: beside task and model, gradient descent and the arguments of `bayesgc.infer`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bayesgc.options.declared import refusal
from bayesgc.options.tasks import OfTask
from bayesgc.validate import InputError

if TYPE_CHECKING:
    from bayesgc.inference import SGD, GradientDescent
    from bayesgc.task import Task


class Options(OfTask):
    """The options of ``bayesgc infer``, by their names in Python; on the command line they have dashes."""

    @classmethod
    def checked(cls, given: Mapping[str, Any]) -> Options:
        """The options that are ``given``, and the defaults of the others.

        Raises:
            InputError: naming an option that does not exist, is of the wrong type, or could have no effect.
        """
        for name in given:
            cls.check_name(name)
        options = cls.typed(given)
        options.check()
        return options

    @classmethod
    def typed(cls, given: Mapping[str, Any]) -> Options:
        """The same, checked in their types alone, each by itself.

        Raises:
            InputError: naming an option of the wrong type.
        """
        if given.get("width") == math.inf:
            raise InputError("width is inf; write it as a text with one for each hidden layer, as 'inf,inf'.")
        try:
            return cls(**given)
        except ValidationError as error:
            raise refusal(error, parts=1) from None

    def make_descent(self) -> GradientDescent | None:
        """Gradient descent as described, unless it is turned off."""
        from bayesgc.inference import GradientDescent

        if not self.gd:
            return None
        self._refuse(
            ("gd_batch", "gd_epochs", "gd_protocol"),
            "is for labelled examples; an array is fitted whole, for --gd-steps",
        )
        return GradientDescent(
            optimizer=self.gd_optimizer,
            lr=self.gd_lr,
            momentum=self.gd_momentum,
            steps=self.gd_steps,
            init=self.gd_init,
            init_scale=self.gd_init_scale,
            tol=self.gd_tol,
            restarts=self.restarts,
        )

    def make_training(self) -> SGD | None:
        """Stochastic gradient descent as described, unless it is turned off; what is left open is its own default."""
        from bayesgc.inference import SGD

        if not self.gd:
            return None
        self._refuse(("gd_steps", "gd_init_scale"), "is for arrays; labelled examples have --gd-epochs")
        names = {"gd_optimizer", "gd_lr", "gd_momentum", "gd_batch", "gd_epochs", "gd_init", "gd_tol", "restarts"}
        given = {name.removeprefix("gd_"): getattr(self, name) for name in names & self.given}
        return SGD(**given) if self.gd_protocol is None else SGD.preset(self.gd_protocol, **given)

    def settings(self, task: Task | None = None) -> dict[str, Any]:
        """The arguments of `bayesgc.infer` beside model and task; for labelled examples those that suit them."""
        names = ("method", "map", "seed", "chains", "draws", "precision", "max_seconds", "max_evaluations")
        from bayesgc.task import linear_view

        labelled = self.labelled if task is None else linear_view(task) is None
        descent = self.make_training() if labelled else self.make_descent()
        eps = None if (labelled or self.data is not None) and "eps" not in self.given else self.eps
        return {"eps": eps, "gd": descent or False} | {
            name: getattr(self, name) for name in (*names, "device", "dtype")
        }
