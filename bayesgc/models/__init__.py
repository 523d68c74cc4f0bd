"""Generative programs: factorised weights of matrices and tensors, their priors and activations, and whitening."""

# isort: off
import warnings

with warnings.catch_warnings():
    # In a notebook without ipywidgets tqdm, which Pyro imports, warns that its bars are plain ones: nobody need act.
    warnings.filterwarnings("ignore", "IProgress not found")
    import pyro.infer  # noqa: F401

from bayesgc.models.priors import shipped  # noqa: F401 - it registers priors
from bayesgc.models.transports import multivariate, univariate  # noqa: F401 - they register transports
# isort: on

from bayesgc.models.activations import ACTIVATIONS, Activation, register_activation
from bayesgc.models.factorization.matrices import Factorization, MatrixFactorization, WhitenedFactors, factorised
from bayesgc.models.factorization.tensors import CPFactorization, TensorTrain
from bayesgc.models.factorization.triangular import TriangularFactors
from bayesgc.models.networks.infinite_mlp import InfiniteMLP
from bayesgc.models.networks.lenet import LeNet
from bayesgc.models.networks.module import Module, as_module
from bayesgc.models.networks.normalized import NORMALIZATION_SUMMARIES, NORMALIZATIONS
from bayesgc.models.networks.perceptron import MLP
from bayesgc.models.priors.laws import Haar, LowRankGaussian, ScaleMixture
from bayesgc.models.priors.prior import PRIORS, SCALING_SUMMARIES, SCALINGS, available, register_prior
from bayesgc.models.program import Model, ProgramModel, as_model, describe, model_named
from bayesgc.models.transports.registry import register_scales, register_transport
from bayesgc.models.whitening import Whitened, WhitenedProgram, WhiteningMessenger, as_sites

FAMILIES: dict[str, type[Factorization]] = {
    "matrix": MatrixFactorization,
    "cp": CPFactorization,
    "tensor-train": TensorTrain,
}
"""The factorisations by the names they have on the command line."""

NETWORKS: dict[str, type[MLP] | type[LeNet]] = {"mlp": MLP, "lenet": LeNet}
"""The networks, for labelled examples, likewise."""

__all__ = [
    "ACTIVATIONS",
    "FAMILIES",
    "MLP",
    "NETWORKS",
    "NORMALIZATIONS",
    "NORMALIZATION_SUMMARIES",
    "PRIORS",
    "SCALINGS",
    "SCALING_SUMMARIES",
    "Activation",
    "CPFactorization",
    "Factorization",
    "Haar",
    "InfiniteMLP",
    "LeNet",
    "LowRankGaussian",
    "MatrixFactorization",
    "Model",
    "Module",
    "ProgramModel",
    "ScaleMixture",
    "TensorTrain",
    "TriangularFactors",
    "Whitened",
    "WhitenedFactors",
    "WhitenedProgram",
    "WhiteningMessenger",
    "as_model",
    "as_module",
    "as_sites",
    "available",
    "describe",
    "factorised",
    "model_named",
    "register_activation",
    "register_prior",
    "register_scales",
    "register_transport",
]
