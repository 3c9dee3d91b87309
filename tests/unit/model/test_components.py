from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from phi4train.batch import Batch, ImageInputs
from phi4train.errors import CheckpointError
from phi4train.model.activation_checkpointing import set_activation_checkpointing
from phi4train.model.component_names import (
    COMPONENT_NAMES,
    family_of,
    layered_components,
    media_components,
)
from phi4train.model.components import (
    Component,
    add_component,
    build_model,
    component_names,
    installed_components,
    key_under,
    load_state,
    lora_component,
    modules_of,
    parameters_of,
    remove_component,
    state_of,
)
from phi4train.model.phi4 import Phi4Model
from phi4train.model.shapes import LoraShape, ModelShape
from phi4train.modes import Mode, add_adapter_of_kind, add_mode, forget_kind

MakeModel = Callable[..., Phi4Model]
VISION = ("vision_encoder", "vision_projector")
AUDIO = ("audio_encoder", "audio_projector.speech", "audio_projector.vision_speech")


@pytest.fixture(scope="module")
def full_model() -> Phi4Model:
    return build_model(ModelShape(), COMPONENT_NAMES, seed=0, device="meta")


@pytest.mark.parametrize(
    "component, expected",
    [
        ("language_model", 3_836_021_760),
        ("vision_encoder", 398_085_280),
        ("vision_projector", 12_982_272 + 2_304),
        ("audio_encoder", 441_238_144),
        ("audio_projector.speech", 12_589_056),
        ("audio_projector.vision_speech", 12_589_056),
        ("lora.vision", 369_098_752),
        ("lora.speech", 461_373_440),
    ],
)
def test_the_released_sizes_have_the_published_numbers_of_parameters(
    full_model: Phi4Model, component: str, expected: int
) -> None:
    assert sum(p.numel() for p in parameters_of(full_model, component).values()) == expected


def test_the_whole_model_has_the_published_number_of_parameters(full_model: Phi4Model) -> None:
    never_run = 30_480_160  # the vision encoder's last layer, post-norm and head: held for export only
    assert sum(p.numel() for p in full_model.parameters()) + never_run == 5_574_460_224


def test_the_names_without_torch_are_the_registered_ones() -> None:
    assert component_names() == COMPONENT_NAMES


def test_every_parameter_belongs_to_exactly_one_component(full_model: Phi4Model) -> None:
    owned = [id(p) for name in COMPONENT_NAMES for p in parameters_of(full_model, name).values()]
    assert sorted(owned) == sorted(id(p) for p in full_model.parameters())
    assert installed_components(full_model) == COMPONENT_NAMES


def test_every_parameter_lies_in_a_module_of_its_component_alone(full_model: Phi4Model) -> None:
    for name in COMPONENT_NAMES:
        inside = {id(p) for module in modules_of(full_model, name) for p in module.parameters()}
        assert inside == {id(p) for p in parameters_of(full_model, name).values()}


def test_training_mode_is_set_for_one_component_alone(make_model: MakeModel) -> None:
    model = make_model("lora.vision", "lora.speech", dropout=0.1).eval()
    for module in modules_of(model, "lora.vision"):
        module.train()
    switched = {name for name, module in model.named_modules() if module.training}
    assert any("lora_dropout.vision" in name for name in switched)
    assert all(".vision" in name for name in switched)


def test_keys_of_the_language_model_are_those_of_hugging_face(make_model: MakeModel) -> None:
    bare = state_of(make_model(), "language_model")
    assert state_of(make_model("lora.vision", "lora.speech"), "language_model").keys() == bare.keys()
    assert set(bare) == {"embed_tokens.weight", "norm.weight"} | {
        f"layers.{i}.{name}.weight"
        for i in range(2)
        for name in (
            "input_layernorm",
            "post_attention_layernorm",
            "self_attn.qkv_proj",
            "self_attn.o_proj",
            "mlp.gate_up_proj",
            "mlp.down_proj",
        )
    }


def test_values_depend_on_seed_and_component_alone(tiny_shape: ModelShape) -> None:
    all_parts = build_model(tiny_shape, COMPONENT_NAMES, seed=3)
    for others in [
        (),
        VISION,
        AUDIO,
        AUDIO[:2],
        AUDIO[::2],
        ("lora.speech",),
        ("lora.vision", "lora.speech"),
    ]:
        some = build_model(tiny_shape, ("language_model", *others), seed=3)
        for name in installed_components(some):
            expected = state_of(all_parts, name)
            assert all(torch.equal(tensor, expected[key]) for key, tensor in state_of(some, name).items())


def test_another_seed_gives_other_values(tiny_shape: ModelShape) -> None:
    one, other = (build_model(tiny_shape, COMPONENT_NAMES, seed) for seed in (0, 1))
    for name in COMPONENT_NAMES:
        pairs = zip(state_of(one, name).values(), state_of(other, name).values(), strict=True)
        assert any(not torch.equal(a, b) for a, b in pairs)


def test_two_components_of_one_size_start_with_different_values(tiny_shape: ModelShape) -> None:
    shape = replace(tiny_shape, lora={"vision": LoraShape(4, 8), "speech": LoraShape(4, 8)})
    model = build_model(shape, COMPONENT_NAMES, seed=0)
    key = "layers.0.mlp.down_proj.lora_A.weight"
    assert not torch.equal(state_of(model, "lora.vision")[key], state_of(model, "lora.speech")[key])


def test_building_leaves_the_global_random_state_alone(tiny_shape: ModelShape) -> None:
    before = torch.get_rng_state()
    build_model(tiny_shape, COMPONENT_NAMES, seed=0)
    assert torch.equal(torch.get_rng_state(), before)


def test_initial_values_have_the_documented_distributions(tiny_shape: ModelShape) -> None:
    shape = replace(tiny_shape, lora={"vision": LoraShape(r=32), "speech": LoraShape(r=2)})
    model = build_model(shape, COMPONENT_NAMES, seed=0)
    language_model, lora = state_of(model, "language_model"), state_of(model, "lora.vision")
    assert language_model["layers.0.mlp.gate_up_proj.weight"].std().item() == pytest.approx(0.2, rel=0.05)
    assert torch.equal(language_model["norm.weight"], torch.ones(64))
    lora_a = lora["layers.0.mlp.gate_up_proj.lora_A.weight"]
    bound = 64**-0.5  # kaiming uniform with a = sqrt(5)
    assert 0.95 * bound < lora_a.abs().max() <= bound
    assert not lora["layers.0.mlp.gate_up_proj.lora_B.weight"].any()


def test_a_fresh_model_is_trainable_throughout(tiny_shape: ModelShape) -> None:
    model = build_model(tiny_shape, COMPONENT_NAMES, seed=0)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_a_saved_component_comes_back_bit_for_bit_beside_other_components(tiny_shape: ModelShape) -> None:
    source = build_model(tiny_shape, COMPONENT_NAMES, seed=0)
    target = build_model(tiny_shape, ("lora.vision", "language_model"), seed=1)
    for name in installed_components(target):
        load_state(target, name, {key: t.clone() for key, t in state_of(source, name).items()})
        for key, tensor in state_of(target, name).items():
            assert torch.equal(tensor, state_of(source, name)[key])


def test_all_keys_that_do_not_fit_are_listed_and_nothing_is_changed(make_model: MakeModel) -> None:
    model = make_model()
    state = {key: t.clone() + 1 for key, t in state_of(model, "language_model").items()}
    state["norm.weight"] = torch.ones(32)
    state["extra.weight"] = state.pop("layers.0.mlp.down_proj.weight")
    before = model.head_weight.clone()
    with pytest.raises(CheckpointError) as error:
        load_state(model, "language_model", state)
    text = str(error.value)
    assert "found 3 problems" in text
    assert "missing: layers.0.mlp.down_proj.weight" in text
    assert "unexpected: extra.weight" in text
    assert "another shape: norm.weight is (32,), the model's is (64,)" in text
    assert "another model size" in text
    assert torch.equal(model.head_weight, before)


def test_all_wrong_names_are_refused_together(tiny_shape: ModelShape) -> None:
    with pytest.raises(ValueError) as error:
        build_model(tiny_shape, ("langage_model", "vision_encoder"), seed=0)
    assert "found 'langage_model' (did you mean 'language_model'?)" in str(error.value)
    assert "component 'vision_encoder' needs 'vision_projector'" in str(error.value)
    with pytest.raises(ValueError, match="needs 'language_model'"):
        build_model(tiny_shape, (), seed=0)
    with pytest.raises(ValueError, match=r"needs one of \['audio_projector.speech', 'audio_projector.vision"):
        build_model(tiny_shape, ("language_model", "audio_encoder"), seed=0)
    with pytest.raises(ValueError, match=r"'audio_projector.speech' needs 'audio_encoder'"):
        build_model(tiny_shape, ("language_model", "audio_projector.speech"), seed=0)


def test_an_adapter_without_a_size_is_refused(tiny_shape: ModelShape) -> None:
    with pytest.raises(ValueError, match=r"add model\.lora\.speech"):
        build_model(replace(tiny_shape, lora={}), ("language_model", "lora.speech"), seed=0)


def test_an_unregistered_component_is_refused(make_model: MakeModel) -> None:
    with pytest.raises(ValueError, match=r"found 'lora.visoin' \(did you mean 'lora.vision'\?\)"):
        parameters_of(make_model(), "lora.visoin")


def test_checkpointing_is_switched_for_exactly_the_named_components(make_model: MakeModel) -> None:
    model = make_model(*VISION)
    encoder = model.encoders["image"].get_submodule("encoder")
    set_activation_checkpointing(model, ["vision_encoder"])
    assert (model.language_model.activation_checkpointing, encoder.activation_checkpointing) == (False, True)
    set_activation_checkpointing(model, ["language_model"])
    assert (model.language_model.activation_checkpointing, encoder.activation_checkpointing) == (True, False)
    with pytest.raises(
        ValueError, match=r"found 'vision_projector'.*choose among \['language_model', 'vision_encoder'\]"
    ):
        set_activation_checkpointing(model, ["vision_projector"])


def test_activations_of_the_audio_encoder_can_be_recomputed(make_model: MakeModel) -> None:
    model = make_model(*AUDIO)
    set_activation_checkpointing(model, ["audio_encoder"])
    assert model.encoders["audio"].get_submodule("encoder").activation_checkpointing
    assert not model.language_model.activation_checkpointing


def test_one_audio_projector_alone_is_a_whole_audio_part(make_model: MakeModel) -> None:
    for projector in AUDIO[1:]:
        model = make_model("audio_encoder", projector)
        assert installed_components(model) == ("language_model", "audio_encoder", projector)
        assert set(state_of(model, projector)) == {
            f"{name}.{kind}" for name in ("up_proj", "down_proj") for kind in ("weight", "bias")
        }


def test_the_audio_encoder_is_saved_with_its_statistics(make_model: MakeModel) -> None:
    source, target = (make_model("audio_encoder", "audio_projector.speech") for _ in range(2))
    state = state_of(source, "audio_encoder")
    mean, invstd = (state[f"encoder_embedding.global_{name}"] for name in ("mean", "invstd"))
    assert torch.equal(mean, torch.full((8,), 15.0)), "where speech lies, until a checkpoint tells it"
    assert torch.equal(invstd, torch.full((8,), 0.2))
    mean.fill_(9.0)
    load_state(target, "audio_encoder", {key: tensor.clone() for key, tensor in state.items()})
    assert target.get_buffer("encoders.audio.encoder.encoder_embedding.global_mean").tolist() == [9.0] * 8


def test_the_facts_without_torch_are_those_of_the_modules(full_model: Phi4Model) -> None:
    able = tuple(name for name in COMPONENT_NAMES if _is_switched(full_model, name))
    assert able == layered_components()
    for kind in full_model.encoders:
        owned = {id(parameter) for parameter in full_model.encoders[kind].parameters()}
        makers = [
            n for n in COMPONENT_NAMES if owned & {id(p) for p in parameters_of(full_model, n).values()}
        ]
        assert tuple(makers) == media_components(kind)
    keys = {name: state_of(full_model, name).keys() for name in COMPONENT_NAMES}
    for one, two in product(COMPONENT_NAMES, repeat=2):
        assert (keys[one] == keys[two]) == (family_of(one) == family_of(two)), (one, two)


def _is_switched(model: Phi4Model, component: str) -> bool:
    try:
        set_activation_checkpointing(model, [component])
    except ValueError:
        return False
    set_activation_checkpointing(model, [])
    return True


class _DepthEncoder(nn.Module):
    """Maps each depth map (here taken from the first crop's pixels) to one token a slot."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.projection = nn.Linear(1, dim)

    def forward(self, inputs: ImageInputs) -> Tensor:
        tokens: Tensor = self.projection(inputs.crops_C3SS.flatten()[: len(inputs.positions), None])
        return tokens


def _initialise_depth(model: Phi4Model, shape: ModelShape, generator: torch.Generator) -> None:
    for parameter in model.encoders["depth"].parameters():
        parameter.normal_(0, 1, generator=generator)


@pytest.fixture
def depth() -> Iterator[None]:
    """The model's part of a third modality."""

    def install(model: Phi4Model, shape: ModelShape) -> None:
        model.encoders["depth"] = _DepthEncoder(shape.language_model.hidden_dim)

    add_component(Component("depth_encoder", install, key_under("encoders.depth"), _initialise_depth))
    add_component(lora_component("depth"))
    add_mode(Mode("depth", ("depth",), "depth"))
    add_adapter_of_kind("depth", "depth")
    yield
    forget_kind("depth")
    for name in ("depth_encoder", "lora.depth"):
        remove_component(name)


@pytest.mark.usefixtures("depth")
def test_a_third_modality_needs_no_other_change_of_the_model(
    tiny_shape: ModelShape, make_batch: Callable[..., Batch]
) -> None:
    shape = replace(tiny_shape, lora={**tiny_shape.lora, "depth": LoraShape(2, 4)})
    model = build_model(shape, ("language_model", "depth_encoder", "lora.depth", "lora.vision"), seed=0)
    text = make_batch((6, 9), ("depth", "text"))
    crops = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(1, 2, 2, dtype=torch.bool)
    inputs = ImageInputs(crops, mask, ((1, 1),), torch.tensor([1, 2, 3]))
    model(replace(text, media={"depth": inputs})).square().sum().backward()
    assert all(p.grad is not None for p in parameters_of(model, "depth_encoder").values())
    touched = {key for key, p in parameters_of(model, "lora.depth").items() if p.grad is not None}
    assert touched == set(parameters_of(model, "lora.depth"))
    assert all(p.grad is None for p in parameters_of(model, "lora.vision").values())
