"""What conf/, recipes/ and data_manifests/ hold."""

from pathlib import Path

import pytest
import yaml

from phi4train.config.catalog import Catalog
from phi4train.config.curricula import curriculum_files, load_curriculum
from phi4train.config.load import load_config
from phi4train.config.resources import resource_folder
from phi4train.config.schema import MACHINE_KEYS
from phi4train.curriculum.graph import order_stages
from phi4train.data.shards.manifest import load_manifest
from phi4train.model.shapes import LanguageModelShape

STAGES = list(load_curriculum().stages)
LADDER = {"10m": 10, "25m": 25, "60m": 60, "125m": 125, "350m": 350, "760m": 760, "1300m": 1300}


def test_the_stages_are_listed_parents_first_each_with_a_description() -> None:
    descriptions = Catalog().stage_descriptions()
    assert sorted(descriptions) == sorted(STAGES)
    assert all(descriptions.values())
    order = list(descriptions)
    for stage in STAGES:
        assert all(order.index(parent) < order.index(stage) for parent in parents_of(stage))


@pytest.mark.parametrize("scale", ["full", "demo"])
@pytest.mark.parametrize("stage", STAGES)
def test_every_recipe_composes_and_holds(stage: str, scale: str) -> None:
    config = load_config([f"stage={stage}", f"scale={scale}"])
    assert (config.stage, config.scale, config.run.name) == (stage, scale, scale)
    assert config.data.manifest == (stage if scale == "full" else f"demo_{stage}")
    assert config.source


@pytest.mark.parametrize("stage", STAGES)
def test_every_recipe_holds_on_an_a100(stage: str) -> None:
    assert load_config([f"stage={stage}", "hardware=a100"]).hardware.precision.name == "bf16_mixed"


@pytest.mark.parametrize("scale", LADDER)
def test_a_rung_of_the_ladder_has_the_parameters_of_its_name(scale: str) -> None:
    shape = load_config(["stage=lm_pretrain", f"scale={scale}"]).model.language_model
    assert shape.num_parameters == pytest.approx(LADDER[scale] * 1e6, rel=0.05)


def test_the_full_scale_has_the_released_number_of_parameters() -> None:
    assert LanguageModelShape().num_parameters == 3_836_021_760


@pytest.mark.parametrize(("billions", "lr"), [(12.5, 5.07e-4), (50, 3.25e-4), (5000, 7.45e-5)])
def test_the_law_of_the_pretraining_recipe_gives_the_known_learning_rates(billions: float, lr: float) -> None:
    law = load_config(["stage=lm_pretrain"]).optimizer.lr_law
    assert law is not None
    assert law.B * (billions * 1e9 / law.unit_tokens) ** -law.exponent == pytest.approx(lr, rel=2e-3)


@pytest.mark.parametrize("scale", Catalog().scales)
def test_the_pretraining_takes_its_peak_learning_rate_from_the_law_at_every_scale(scale: str) -> None:
    optimizer = load_config(["stage=lm_pretrain", f"scale={scale}"]).optimizer
    assert optimizer.lr is None and optimizer.lr_law is not None
    assert optimizer.lr_law.exponent == 0.32


@pytest.mark.parametrize(("rung", "lr"), [("10m", 3e-3), ("25m", 2e-3), ("60m", 1.5e-3)])
def test_the_law_of_the_small_rungs_gives_what_suits_them(rung: str, lr: float) -> None:
    config = load_config(["stage=lm_pretrain", f"scale={rung}"])
    law, tokens = config.optimizer.lr_law, config.budget.tokens
    assert law is not None and tokens is not None
    assert law.B * (tokens / law.unit_tokens) ** -law.exponent == pytest.approx(lr, rel=1e-3)


def test_the_recipes_train_what_the_design_says() -> None:
    vision = ["vision_encoder", "vision_projector"]
    assert {stage: load_config([f"stage={stage}"]).trainable for stage in STAGES} == {
        "lm_pretrain": ["language_model"],
        "lm_sft": ["language_model"],
        "vision_align": ["vision_projector"],
        "vision_pretrain": vision,
        "vision_sft": [*vision, "lora.vision"],
        "vision_multiframe": ["vision_projector", "lora.vision"],
        "audio_pretrain": ["audio_encoder", "audio_projector.speech"],
        "audio_sft": ["audio_projector.speech", "lora.speech"],
        "vision_speech": [*vision, "lora.vision"],
    }


@pytest.mark.parametrize(
    "path", sorted((resource_folder("recipes") / "stage").glob("*.yaml")), ids=lambda p: p.stem
)
def test_a_recipe_names_no_path_device_or_logger(path: Path) -> None:
    machine = set(MACHINE_KEYS) - {"description", "source", "evaluation"}
    assert not machine & yaml.safe_load(path.read_text()).keys()


@pytest.mark.parametrize(
    "path", sorted(resource_folder("data_manifests").glob("*.yaml")), ids=lambda p: p.stem
)
def test_every_manifest_is_well_formed_and_named_as_its_file(path: Path) -> None:
    assert load_manifest(path.stem, [path.parent]).name == path.stem


def test_every_correction_for_a_scale_belongs_to_a_stage_and_a_scale() -> None:
    options = Catalog().options
    for path in (resource_folder("recipes") / "at_scale").glob("*/*.yaml"):
        assert path.parent.name in options["scale"]
        assert path.stem in options["stage"]


def test_the_stages_form_the_graph_of_the_design() -> None:
    assert {stage: parents_of(stage) for stage in STAGES} == {
        "lm_pretrain": [],
        "lm_sft": ["lm_pretrain"],
        "vision_align": ["lm_sft"],
        "vision_pretrain": ["vision_align"],
        "vision_sft": ["vision_pretrain"],
        "vision_multiframe": ["vision_sft"],
        "audio_pretrain": ["lm_sft"],
        "audio_sft": ["audio_pretrain"],
        "vision_speech": ["vision_multiframe", "audio_sft"],
    }


@pytest.mark.parametrize("name", curriculum_files())
def test_a_curriculum_lists_its_stages_parents_first(name: str) -> None:
    stages = list(load_curriculum(name).stages)
    assert order_stages(stages, {stage: parents_of(stage) for stage in stages}) == stages


def test_the_mixture_of_the_speech_post_training_is_the_published_one() -> None:
    sources = load_manifest("audio_sft", [resource_folder("data_manifests")]).sources
    assert sum(source.weight for source in sources) == 100  # millions of weighted examples
    shares = {"asr": 28, "ast": 28, "sq": 26, "audio": 17, "summaries": 1}
    for start, millions in shares.items():
        assert sum(source.weight for source in sources if source.name.startswith(start)) == millions
    limits = {source.name: source.max_audio_seconds for source in sources}
    assert limits.pop("summaries") == 1800
    assert set(limits.values()) == {30}
    config = load_config(["stage=audio_sft"])
    samples, steps = config.budget.global_batch_samples, config.budget.max_steps
    assert samples is not None and steps is not None and samples * steps == 100_000_000
    assert config.optimizer.lr == 1e-4


def parents_of(stage: str) -> list[str]:
    return load_config([f"stage={stage}"]).parents


@pytest.mark.parametrize("head_dim", [32, 64])
def test_rope_lists_are_the_released_factors_at_the_same_frequencies(head_dim: int) -> None:
    rope = yaml.safe_load((resource_folder("conf") / "rope" / f"head_{head_dim}.yaml").read_text())
    factors = rope["model"]["language_model"]["rope"]["long_factor"]
    released = LanguageModelShape().rope.long_factor
    assert len(factors) == head_dim * 3 // 8
    assert factors == released[:: 128 // head_dim]
