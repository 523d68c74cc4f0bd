"""The criterion, the methods that condition a prior on it, and gradient descent beside them.

*A prior, a fit criterion, and a method that conditions one on the other; gradient descent is one more method on the
same model.* Every method has the same shape, `Method`: a frozen object with its hyperparameters, and
``run(criterion, request, control)``, which returns a `Run`.
"""

from bayesgc.inference.automatic import Automatic
from bayesgc.inference.collapsed.conditioned import conditioned_program
from bayesgc.inference.collapsed.importance import Importance
from bayesgc.inference.collapsed.nuts import NUTS
from bayesgc.inference.collapsed.tempering import Tempering
from bayesgc.inference.control import Control, Progress, interruptible
from bayesgc.inference.criterion import Criterion
from bayesgc.inference.descent.gradient_descent import INITIALIZATIONS, GradientDescent
from bayesgc.inference.descent.mode import MaximumAPosteriori, why_no_map, why_not_by_default
from bayesgc.inference.descent.optimizers import OPTIMIZERS
from bayesgc.inference.descent.sgd import SGD, STARTS
from bayesgc.inference.descent.unconstrained import why_no_descent
from bayesgc.inference.device import available_devices, device_named, dtype_named
from bayesgc.inference.islands.splitting import Splitting
from bayesgc.inference.methods import METHODS, Method, method_named, register_method
from bayesgc.inference.prior import draw_prior
from bayesgc.inference.records import Descent, Draws, Estimate, Levels, Outcome, Run, Summary
from bayesgc.inference.rejection import Rejection
from bayesgc.inference.replicates import draws_of_replicates
from bayesgc.inference.request import Request

__all__ = [
    "INITIALIZATIONS",
    "METHODS",
    "NUTS",
    "OPTIMIZERS",
    "SGD",
    "STARTS",
    "Automatic",
    "Control",
    "Criterion",
    "Descent",
    "Draws",
    "Estimate",
    "GradientDescent",
    "Importance",
    "Levels",
    "MaximumAPosteriori",
    "Method",
    "Outcome",
    "Progress",
    "Rejection",
    "Request",
    "Run",
    "Splitting",
    "Summary",
    "Tempering",
    "available_devices",
    "conditioned_program",
    "device_named",
    "draw_prior",
    "draws_of_replicates",
    "dtype_named",
    "interruptible",
    "method_named",
    "register_method",
    "why_no_descent",
    "why_no_map",
    "why_not_by_default",
]
