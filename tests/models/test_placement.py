"""Where draws are made: on torch's meta device, which holds no numbers, an operation that mixes devices raises."""

from __future__ import annotations

import itertools

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bayesgc.inference.collapsed.criterion import CollapsedCriterion
from bayesgc.inference.descent.unconstrained import UnconstrainedProgram
from bayesgc.models import CPFactorization, MatrixFactorization, TensorTrain, WhitenedProgram, as_model
from bayesgc.models.activations import ACTIVATIONS
from bayesgc.models.factorization.collapse import collapse
from bayesgc.models.factorization.triangular import TriangularFactors
from bayesgc.models.placement import at_home, law_on, work_device
from bayesgc.models.priors.laws import ScaleMixture
from bayesgc.models.priors.prior import PRIORS
from bayesgc.models.transports import gamma
from bayesgc.models.transports.registry import transport_of
from bayesgc.task import sensing
from bayesgc.testing import own_draws

CPU, ELSEWHERE, APPLE = torch.device("cpu"), torch.device("meta"), torch.device("mps")
SHIPPED = [name for name, prior in PRIORS.items() if prior.factory.__module__ == "bayesgc.models.priors.shipped"]
FAMILIES = {MatrixFactorization: (3, 4), CPFactorization: (3, 2, 4), TensorTrain: (3, 2, 4)}
DRAWS = 7

LAWS = {
    "beta": dist.Beta(2.0, 3.0).expand([2, 3]).to_event(2),
    "categorical": dist.Categorical(torch.tensor([0.2, 0.5, 0.3])).expand([4]).to_event(1),
    "delta": dist.Delta(torch.ones(2, 3)).to_event(2),
    "dirichlet": dist.Dirichlet(torch.tensor([0.5, 1.0, 2.0])).expand([2]).to_event(1),
    "flow": dist.TransformedDistribution(
        dist.Normal(0.0, 1.0).expand([3]).to_event(1), [dist.transforms.Planar(3).double()]
    ),
    "gamma, of different concentrations": dist.Gamma(torch.tensor([0.5, 2.0]), 1.0).to_event(1),
    "geometric": dist.Geometric(0.3).expand([2]).to_event(1),
    "gumbel": dist.Gumbel(0.0, 1.0).expand([2, 3]).to_event(2),
    "half-normal": dist.HalfNormal(2.0).expand([2, 3]).to_event(2),
    "log-normal": dist.LogNormal(torch.zeros(2), 1.0).to_event(1),
    "low-rank normal": dist.LowRankMultivariateNormal(torch.zeros(3), torch.ones(3, 1), torch.ones(3)),
    "mixture": dist.MixtureSameFamily(
        dist.Categorical(torch.tensor([0.3, 0.7])), dist.Normal(torch.tensor([-1.0, 1.0]), 0.5)
    ),
    "multivariate normal": dist.MultivariateNormal(torch.zeros(3), torch.eye(3)),
    "multivariate t": dist.MultivariateStudentT(torch.tensor(3.0), torch.zeros(3), torch.eye(3)),
    "scales that are gamma": ScaleMixture(dist.Gamma(2.0, 1.0), scale=torch.ones(2, 3)).to_event(2),
    "snedecor": dist.FisherSnedecor(3.0, 4.0).expand([2, 3]).to_event(2),
}


def normals(size, device=ELSEWHERE):
    return torch.zeros(size, DRAWS, device=device)


def test_the_meta_device_refuses_to_mix():
    with pytest.raises(RuntimeError, match="device"):
        torch.zeros(2, 3) * torch.zeros(2, 3, device=ELSEWHERE)


# --- shipped models ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("prior", SHIPPED)
def test_every_shipped_model_draws_where_its_normals_are(prior, family):
    shape = FAMILIES[family]
    for activation, normalize in itertools.product(ACTIVATIONS, (True, False)):
        model = family(3, 4, activation=activation, prior=prior, normalize=normalize)
        whitened = model.whiten(shape, weights=True)
        vectors = whitened.vectors(normals(whitened.size))
        assert (vectors.device, vectors.shape) == (ELSEWHERE, (torch.Size(shape).numel(), DRAWS))
        assert {each.device for each in whitened.weights(normals(whitened.size)).values()} == {ELSEWHERE}


def test_width_free_and_deep_products_draw_where_their_normals_are():
    for model in (MatrixFactorization(3, 50), MatrixFactorization(20, 4, activation="tanh")):
        whitened = model.whiten((3, 4))
        assert isinstance(whitened, TriangularFactors) == (model.depth == 3)
        assert whitened.vectors(normals(whitened.size)).device == ELSEWHERE


@pytest.mark.parametrize("prior", SHIPPED)
def test_shipped_priors_draw_so_in_a_program_too(prior):
    whitened = WhitenedProgram(MatrixFactorization(2, 3, prior=prior).program((3, 4)), (3, 4), batched=True)
    assert whitened.vectors(normals(whitened.size)).device == ELSEWHERE


@pytest.mark.parametrize("prior", ["gaussian", "student-t", "laplace", "horseshoe"])
def test_collapsed_models_weigh_where_their_normals_are(prior):
    task = sensing(3, 4, 1, 5, seed=1)
    collapsed = collapse(MatrixFactorization(2, 5, prior=prior, normalize=False), task.shape)
    criterion = CollapsedCriterion(task, collapsed, 0.01, ELSEWHERE)
    assert criterion.score(normals(criterion.latent_size)).device == ELSEWHERE


# --- programs ---------------------------------------------------------------------------------------------------------


def hierarchical():
    """With constants of its own, bounds, gamma variables and a subsample."""
    with pyro.plate("rows", 3, subsample_size=2):
        low = pyro.sample("low", dist.Uniform(-1.0, 1.0))
    spread = pyro.sample("spread", dist.Gamma(2.0, 1.0))
    weights = pyro.sample("weights", dist.StudentT(torch.tensor(4.0), 0.0, spread).expand([2, 3]).to_event(2))
    return weights @ torch.eye(3) + low.sum()


@pytest.fixture
def program():
    return as_model(hierarchical).whiten((2, 3))


def test_a_program_makes_its_constants_where_its_normals_are(program):
    assert program.vectors(normals(program.size)).device == ELSEWHERE


def test_a_program_descends_where_its_numbers_are(program):
    free = UnconstrainedProgram.of(program)
    values = {name: value[0] for name, value in program.weights(normals(program.size)).items()}
    assert free.inverse(values).device == ELSEWHERE
    assert free.assembled()([torch.zeros(DRAWS, 1, free.size, device=ELSEWHERE)]).device == ELSEWHERE


@pytest.fixture
def accelerators_seeded(monkeypatch):
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    monkeypatch.setattr(torch.mps, "manual_seed", seeds.append)
    return seeds


def test_global_generators_of_accelerators_are_left_alone(accelerators_seeded):
    before = torch.get_rng_state()
    whitened = as_model(hierarchical).whiten((2, 3))
    whitened.vectors(normals(whitened.size, CPU))
    own_draws(hierarchical, (2, 3), 2)
    assert accelerators_seeded == []
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert accelerators_seeded == [1, 1]


# --- laws -------------------------------------------------------------------------------------------------------------


def batch(law, device):
    size = (DRAWS, *law.batch_shape, *transport_of(law, "here").normals(law))
    return torch.randn(size, generator=torch.Generator().manual_seed(0)).to(device)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS)
def test_a_moved_law_is_whole(law):
    push = transport_of(law, "here").push
    assert push(law_on(law, ELSEWHERE), batch(law, ELSEWHERE)).device == ELSEWHERE
    moved = law_on(law, CPU)
    assert moved is not law
    assert moved is law_on(law, CPU)
    assert at_home(moved) is law
    assert torch.equal(push(moved, batch(law, CPU)), push(law, batch(law, CPU)))


def test_what_was_expanded_takes_no_more_memory_elsewhere():
    law = law_on(dist.Normal(0.0, 1.0).expand([1000, 1000]), ELSEWHERE)
    assert (law.loc.shape, law.loc.stride()) == ((1000, 1000), (0, 0))


def test_a_law_is_not_kept_for_its_copies():
    law = dist.Normal(0.0, 1.0).expand([2])
    moved = law_on(law, ELSEWHERE)
    assert vars(moved)["_bayesgc_origin"]() is law
    origin = vars(moved)["_bayesgc_origin"]
    del law
    assert origin() is None


class Fetched(TorchDispatchMode):
    """Counts tensors that are copied from the CPU to another device."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        copied = func is torch.ops.aten._to_copy.default and args[0].device != result.device
        self.count += copied
        return result


@pytest.mark.parametrize("model", [MatrixFactorization(4, 50), MatrixFactorization(3, 4, prior="student-t")])
def test_tables_and_laws_are_moved_once(model):
    whitened = model.whiten((3, 4))
    fetched = [Fetched(), Fetched()]
    for mode in fetched:
        with mode:
            whitened.vectors(normals(whitened.size))
    assert fetched[0].count > 0
    assert fetched[1].count == 0


def test_the_concentration_is_read_on_the_host(monkeypatch):
    # What cannot be read is solved for.
    monkeypatch.delattr(gamma, "_solve")
    whitened = MatrixFactorization(2, 3, prior="student-t:df=5").whiten((3, 4))
    assert whitened.vectors(normals(whitened.size)).device == ELSEWHERE


def test_apples_gpus_make_normals_alone():
    normal, heavy = (dist.Normal(0.0, 1.0).expand([2]).to_event(1), dist.StudentT(3.0).expand([2]).to_event(1))
    assert [work_device(law, APPLE) for law in (normal, heavy)] == [APPLE, CPU]
    assert work_device(heavy, torch.device("cuda", 1)) == torch.device("cuda", 1)
