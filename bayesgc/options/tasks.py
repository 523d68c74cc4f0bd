"""The task that options stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bayesgc.options.models import OfModel
from bayesgc.options.texts import sides_in, whole_in
from bayesgc.options.together import OF_CHOICES, OF_SIDES
from bayesgc.plugins import is_file, specs_in, split
from bayesgc.validate import InputError

if TYPE_CHECKING:
    from bayesgc.task import Task

_OF_READING = ("index", "header", "columns", "drop", "missing", "separator", "decimal", "values")
_OF_NAMES = ("target", "columns", "drop", "values", *OF_SIDES)
"""Options that name columns of a table."""
_OF_TASKS = ("rows", "cols", "shape", "rank", "measurements")


class OfTask(OfModel):
    """The options with the task that they describe; a teacher's is drawn from their model."""

    @property
    def labelled(self) -> bool:
        """Whether the task is labelled examples."""
        from bayesgc.task import DATASETS
        from bayesgc.task.files import holds_examples

        if self.data is None:
            return self.task in DATASETS
        return self.target is not None or holds_examples(self.data)

    def files(self) -> list[Path]:
        """The user's files that these options name: data, the program, the priors."""
        specs = [*([] if self.model is None else [self.model]), self.method, self.task, *specs_in("prior", self.prior)]
        sources = [split(spec.strip())[0] for spec in specs]
        return [*([] if self.data is None else [self.data]), *(Path(each) for each in sources if is_file(each))]

    def check_columns(self) -> None:
        """Refuse columns that a table does not have, for which torch need not be imported.

        Raises:
            InputError: naming the file, the column and those that there are.
        """
        if self.data is None or not self._is_table or not self.given & {*_OF_NAMES}:
            return
        from bayesgc.task.array.heading import Triplets, check_heading
        from bayesgc.task.array.sheets import Reading, names_in

        kept = (names_in(each) for each in (self.missing, self.columns, self.drop))
        reading = Reading(self.index, self.header, self.separator, self.decimal, *kept)
        rows, cols = (getattr(self, name) if name in self.given else None for name in OF_SIDES)
        target = None if self.target is None else self.target.strip()
        check_heading(self.data, reading, target, Triplets.asked(rows, cols, self.values))

    def make_task(self) -> Task:
        """The synthetic task, or the one in the user's file."""
        from bayesgc.task import DATASETS, TASKS, labelled_view, network_inputs, task_named, task_options

        if self.data is not None or self.task in DATASETS:
            task = self._make_examples() if self.data is None else self._load(self.data)
            examples = labelled_view(task)
            if examples is None or (self.eps_low is None and not self.right):
                return task
            return examples.with_fit(examples.criterion.name, low=self.eps_low, right=self.right)
        known = task_options(TASKS.find(self.task, DATASETS)[0])
        given = {name: getattr(self, name) for name in _OF_TASKS if name in self.given}
        self._refuse(tuple(given.keys() - known), f"is not an option of this task; --task is {self.task!r}")
        given |= {name: whole_in(f"--{name}", given[name]) for name in OF_SIDES if name in given}
        if self.shape is not None:
            given["shape"] = sides_in(self.shape)
        task = task_named(self.task, given | ({"seed": self.task_seed} if "seed" in known else {}))
        self._check_kind(labelled=network_inputs(task.domain) is not None, named=f"--task is {self.task!r}")
        return task

    def _load(self, data: Path) -> Task:
        """The task in the user's file."""
        from bayesgc.task import load, network_inputs

        chosen = {name: getattr(self, name) for name in ("target", *OF_CHOICES)}
        chosen |= {name: getattr(self, name) for name in _OF_READING}
        given = {name: getattr(self, name) for name in ("standardize", *OF_SIDES) if name in self.given}
        seed = self.task_seed if "task_seed" in self.given else None
        try:
            task = load(data, seed=seed, fit=self.fit, **chosen, **given)
        except InputError as error:
            # Here the seed of a task has another name, as there are others.
            raise InputError(str(error).replace("`seed`", "`task_seed`")) from None
        self._check_kind(labelled=network_inputs(task.domain) is not None, named=f"--data is {str(data)!r}")
        return task

    def _make_examples(self) -> Task:
        """Some of a named set."""
        from bayesgc.task import DATASETS

        examples = DATASETS[self.task]
        own = {"features": lambda: self.features, "network": self._make_teacher}
        return examples(
            classes=self.classes,
            train=self.train,
            test=self.test,
            balanced=self.balanced,
            seed=self.task_seed,
            fit=self.fit or "errors",
            standardize="standardize" in self.given and self.standardize,
            **{name: make() for name, make in own.items() if name in examples.options},
        )
