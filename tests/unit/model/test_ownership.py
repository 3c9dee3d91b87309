"""Each tensor of a model is owned once, by name, and stays so when the model moves."""

import pytest
import torch

from phi4train.model.components import build_model
from phi4train.model.ownership import Ownership
from tests.unit.training.tiny_training import SHAPE

ALL = ("language_model", "vision_encoder", "vision_projector", "lora.vision")


@pytest.fixture
def owned() -> Ownership:
    return Ownership(build_model(SHAPE, ALL, seed=0))


def test_every_parameter_is_owned_once_and_named_by_its_component(owned: Ownership) -> None:
    assert set(owned.components) == set(ALL)
    named = owned.named_parameters(owned.components)
    every = list(owned.model.parameters())
    assert len(named) == len(every) and {id(p) for p in named.values()} == {id(p) for p in every}
    for component in ALL:
        own = {name.removeprefix(f"{component}/") for name in named if name.startswith(f"{component}/")}
        assert own == owned.parameters(component).keys() <= owned.state(component).keys()


@pytest.mark.parametrize("chosen", [(), ("lora.vision",), ("vision_encoder", "language_model"), ALL])
def test_what_components_own_and_what_they_do_not_are_the_whole_model(
    owned: Ownership, chosen: tuple[str, ...]
) -> None:
    others = owned.tensors_of_others(chosen)
    own = [tensor.data_ptr() for component in chosen for tensor in owned.state(component).values()]
    every = [t.data_ptr() for t in (*owned.model.parameters(), *owned.model.buffers())]
    assert sorted([*own, *(tensor.data_ptr() for tensor in others.values())]) == sorted(every)


def test_names_survive_a_model_that_moves_and_its_new_tensors_are_found(owned: Ownership) -> None:
    before = owned.named_parameters(ALL).keys()
    owned.model.to(torch.bfloat16)
    for parameter in owned.model.parameters():
        parameter.data = parameter.data.clone()
    after = owned.named_parameters(ALL)
    assert after.keys() == before
    assert {p.dtype for p in after.values()} == {torch.bfloat16}
    for component in ALL:
        assert {t.dtype for t in owned.state(component).values() if t.is_floating_point()} == {torch.bfloat16}


def test_a_state_is_the_tensors_themselves_without_their_graph(owned: Ownership) -> None:
    state, parameters = owned.state("vision_projector"), owned.parameters("vision_projector")
    for key, parameter in parameters.items():
        assert state[key].data_ptr() == parameter.data_ptr() and not state[key].requires_grad


def test_a_buffer_belongs_to_the_component_of_its_module(owned: Ownership) -> None:
    projector = owned.model.encoders["image"].projector
    projector.register_buffer("seen", torch.zeros(2))
    projector.register_buffer("passing", torch.zeros(2), persistent=False)
    names = {f"encoders.image.projector.{name}" for name in ("seen", "passing")}
    known = Ownership(owned.model)
    assert names <= known.tensors_of_others(("vision_encoder",)).keys()
    assert not names & known.tensors_of_others(("vision_projector",)).keys()
    assert "seen" in known.state("vision_projector") and "passing" not in known.state("vision_projector")
    assert "seen" not in known.parameters("vision_projector")


def test_a_buffer_that_no_component_knows_is_anothers(owned: Ownership) -> None:
    owned.model.register_buffer("stray", torch.zeros(1))
    assert "stray" in Ownership(owned.model).tensors_of_others(ALL)


def test_the_modules_of_components_are_disjoint(owned: Ownership) -> None:
    by_component = [
        {id(inner) for module in owned.modules(component) for inner in module.modules()} for component in ALL
    ]
    assert all(by_component) and len(set.union(*by_component)) == sum(map(len, by_component))
