"""bayesgc: Guess & Check as Bayesian conditioning of factorised weights.

Public names load on first use, so that ``import bayesgc`` and ``bayesgc --help`` need not wait for torch.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayesgc.analysis.compare.compare import Comparison, compare
    from bayesgc.analysis.completed import completed
    from bayesgc.analysis.diagnose import Diagnosis, diagnose
    from bayesgc.analysis.functions import functions
    from bayesgc.analysis.plots import (
        plot_calibration,
        plot_cells,
        plot_curve,
        plot_forest,
        plot_functions,
        plot_joint,
        plot_levels,
        plot_losses,
        plot_ranks,
        plot_result,
        plot_spectrum,
        plot_sweep,
    )
    from bayesgc.analysis.predictive import predict
    from bayesgc.analysis.report import write_report
    from bayesgc.analysis.tree.storage import load as load_result
    from bayesgc.analysis.tree.storage import save as save_result
    from bayesgc.analysis.tree.summary import result_object
    from bayesgc.api import InferenceFailed, conditioned, infer
    from bayesgc.experiments.running import run_sweep
    from bayesgc.experiments.study import Study
    from bayesgc.experiments.sweep import Sweep
    from bayesgc.inference import (
        NUTS,
        SGD,
        GradientDescent,
        Importance,
        MaximumAPosteriori,
        Method,
        Orthants,
        Outcome,
        Progress,
        Rejection,
        Splitting,
        Tempering,
        register_method,
    )
    from bayesgc.models import (
        MLP,
        CPFactorization,
        Haar,
        InfiniteMLP,
        LeNet,
        LowRankGaussian,
        MatrixFactorization,
        Module,
        ProgramModel,
        ScaleMixture,
        TensorTrain,
        register_activation,
        register_prior,
        register_scales,
        register_transport,
    )
    from bayesgc.task import (
        ArrayTask,
        LabelledTask,
        Task,
        breast_cancer,
        classification,
        completion,
        digits,
        load,
        mnist,
        mnist1d,
        register_dataset,
        register_fit,
        register_task,
        regression,
        sensing,
        teacher,
        two_moons,
        wine,
    )
    from bayesgc.validate import InputError

try:
    __version__ = importlib.metadata.version("bayesgc")
except importlib.metadata.PackageNotFoundError:  # a source tree on the path, not installed
    __version__ = "unknown"

_HOMES = {
    "bayesgc.analysis.compare.compare": ["Comparison", "compare"],
    "bayesgc.analysis.diagnose": ["Diagnosis", "diagnose"],
    "bayesgc.analysis.functions": ["functions"],
    "bayesgc.analysis.plots": [
        "plot_calibration",
        "plot_cells",
        "plot_curve",
        "plot_forest",
        "plot_functions",
        "plot_joint",
        "plot_levels",
        "plot_losses",
        "plot_ranks",
        "plot_result",
        "plot_spectrum",
        "plot_sweep",
    ],
    "bayesgc.analysis.completed": ["completed"],
    "bayesgc.analysis.predictive": ["predict"],
    "bayesgc.analysis.report": ["write_report"],
    "bayesgc.analysis.tree.summary": ["result_object"],
    "bayesgc.api": ["InferenceFailed", "conditioned", "infer"],
    "bayesgc.experiments.running": ["run_sweep"],
    "bayesgc.experiments.study": ["Study"],
    "bayesgc.experiments.sweep": ["Sweep"],
    "bayesgc.inference": [
        "NUTS",
        "SGD",
        "GradientDescent",
        "Importance",
        "MaximumAPosteriori",
        "Orthants",
        "Method",
        "Outcome",
        "Progress",
        "Rejection",
        "Splitting",
        "Tempering",
        "register_method",
    ],
    "bayesgc.models": [
        "MLP",
        "Haar",
        "InfiniteMLP",
        "LeNet",
        "LowRankGaussian",
        "ScaleMixture",
        "CPFactorization",
        "MatrixFactorization",
        "Module",
        "ProgramModel",
        "TensorTrain",
        "register_activation",
        "register_prior",
        "register_scales",
        "register_transport",
    ],
    "bayesgc.task": [
        "ArrayTask",
        "LabelledTask",
        "Task",
        "breast_cancer",
        "classification",
        "completion",
        "digits",
        "load",
        "mnist",
        "mnist1d",
        "register_dataset",
        "register_fit",
        "register_task",
        "regression",
        "sensing",
        "teacher",
        "two_moons",
        "wine",
    ],
    "bayesgc.validate": ["InputError"],
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
_RENAMED = {f"{name}_result": ("bayesgc.analysis.tree.storage", name) for name in ("load", "save")}

__all__ = [
    "MLP",
    "NUTS",
    "SGD",
    "ArrayTask",
    "CPFactorization",
    "Comparison",
    "Diagnosis",
    "GradientDescent",
    "Haar",
    "Importance",
    "InferenceFailed",
    "InfiniteMLP",
    "InputError",
    "LabelledTask",
    "LeNet",
    "LowRankGaussian",
    "MatrixFactorization",
    "MaximumAPosteriori",
    "Method",
    "Module",
    "Orthants",
    "Outcome",
    "ProgramModel",
    "Progress",
    "Rejection",
    "ScaleMixture",
    "Splitting",
    "Study",
    "Sweep",
    "Task",
    "Tempering",
    "TensorTrain",
    "__version__",
    "breast_cancer",
    "classification",
    "compare",
    "completed",
    "completion",
    "conditioned",
    "diagnose",
    "digits",
    "functions",
    "infer",
    "load",
    "load_result",
    "mnist",
    "mnist1d",
    "plot_calibration",
    "plot_cells",
    "plot_curve",
    "plot_forest",
    "plot_functions",
    "plot_joint",
    "plot_levels",
    "plot_losses",
    "plot_ranks",
    "plot_result",
    "plot_spectrum",
    "plot_sweep",
    "predict",
    "register_activation",
    "register_dataset",
    "register_fit",
    "register_method",
    "register_prior",
    "register_scales",
    "register_task",
    "register_transport",
    "regression",
    "result_object",
    "run_sweep",
    "save_result",
    "sensing",
    "teacher",
    "two_moons",
    "wine",
    "write_report",
]


def __getattr__(name: str) -> object:
    home, attribute = _RENAMED.get(name, (_HOME.get(name), name))
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
