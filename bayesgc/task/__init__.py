"""What is to be fitted: measurements of an array, their values, the losses, and where tasks come from."""

from bayesgc.task.files import load
from bayesgc.task.measurements import DenseMeasurements, Measurements, ObservedCells
from bayesgc.task.synthetic import SYNTHETIC, completion, sensing
from bayesgc.task.task import Task, Units

__all__ = [
    "SYNTHETIC",
    "DenseMeasurements",
    "Measurements",
    "ObservedCells",
    "Task",
    "Units",
    "completion",
    "load",
    "sensing",
]
