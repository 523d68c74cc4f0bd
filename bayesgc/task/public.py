"""The public names of tasks."""

from bayesgc.task.array.array import ArrayTask, Units, linear_view
from bayesgc.task.array.measurements import DenseMeasurements, Measurements, ObservedCells
from bayesgc.task.array.synthetic import completion, sensing
from bayesgc.task.domain import Domain, Inputs, network_inputs
from bayesgc.task.files import load
from bayesgc.task.labelled.choice import Examples
from bayesgc.task.labelled.datasets import (
    DATASETS,
    breast_cancer,
    digits,
    mnist,
    mnist1d,
    register_dataset,
    teacher,
    two_moons,
    wine,
)
from bayesgc.task.labelled.fits import FITS, Fit, register_fit
from bayesgc.task.labelled.labelled import LabelledTask, classification, labelled_view, regression
from bayesgc.task.named import TASKS, register_task, task_named, task_options
from bayesgc.task.task import Reference, Task

__all__ = [
    "DATASETS",
    "FITS",
    "TASKS",
    "ArrayTask",
    "DenseMeasurements",
    "Domain",
    "Examples",
    "Fit",
    "Inputs",
    "LabelledTask",
    "Measurements",
    "ObservedCells",
    "Reference",
    "Task",
    "Units",
    "breast_cancer",
    "classification",
    "completion",
    "digits",
    "labelled_view",
    "linear_view",
    "load",
    "mnist",
    "mnist1d",
    "network_inputs",
    "register_dataset",
    "register_fit",
    "register_task",
    "regression",
    "sensing",
    "task_named",
    "task_options",
    "teacher",
    "two_moons",
    "wine",
]
