"""Generative programs: factorised weights of matrices and tensors, their priors and activations, and whitening."""

# isort: off
from bayesgc.models import univariate, multivariate, shipped  # noqa: F401 - they register transports and priors
# isort: on

from bayesgc.models.activations import ACTIVATIONS, Activation, register_activation
from bayesgc.models.factorization import Factorization, MatrixFactorization, WhitenedFactors, factorised
from bayesgc.models.infinite_mlp import InfiniteMLP
from bayesgc.models.laws import Haar, LowRankGaussian, ScaleMixture
from bayesgc.models.lenet import LeNet
from bayesgc.models.module import Module, as_module
from bayesgc.models.normalized import NORMALIZATION_SUMMARIES, NORMALIZATIONS
from bayesgc.models.perceptron import MLP
from bayesgc.models.priors import PRIORS, SCALING_SUMMARIES, SCALINGS, available, register_prior
from bayesgc.models.program import Model, ProgramModel, as_model, describe, model_named
from bayesgc.models.tensors import CPFactorization, TensorTrain
from bayesgc.models.transports import register_scales, register_transport
from bayesgc.models.triangular import TriangularFactors
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
