"""What is to be fitted and how it is judged, and where tasks come from."""

from bayesgc.task.array.array import ArrayTask, Units, linear_view
from bayesgc.task.array.measurements import DenseMeasurements, Measurements, ObservedCells
from bayesgc.task.array.synthetic import SYNTHETIC, completion, sensing
from bayesgc.task.domain import Domain, Inputs
from bayesgc.task.files import load
from bayesgc.task.labelled.fits import FITS, Fit, register_fit
from bayesgc.task.labelled.labelled import LabelledTask, classification, regression
from bayesgc.task.task import Reference, Task

__all__ = [
    "FITS",
    "SYNTHETIC",
    "ArrayTask",
    "DenseMeasurements",
    "Domain",
    "Fit",
    "Inputs",
    "LabelledTask",
    "Measurements",
    "ObservedCells",
    "Reference",
    "Task",
    "Units",
    "classification",
    "completion",
    "linear_view",
    "load",
    "register_fit",
    "regression",
    "sensing",
]
