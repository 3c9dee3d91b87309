"""Composition: what wins over what, and a user's own folder."""

from pathlib import Path

import pytest

from phi4train.config.load import load_config
from phi4train.config.schema import Precision
from phi4train.errors import ConfigError


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# @package _global_\n{text}")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A user's folder with a recipe that builds on a bundled one."""
    write(
        tmp_path / "stage" / "mine.yaml",
        "defaults: [vision_sft]\ndescription: Mine.\ndata: {manifest: vision_align, context_tokens: 8192}\n",
    )
    write(tmp_path / "at_scale" / "demo" / "mine.yaml", "data: {max_crops: 3}\nbudget: {tokens: 4e9}\n")
    return tmp_path


def test_a_scale_beats_the_recipe_and_its_correction_beats_both() -> None:
    full, demo = load_config(["stage=lm_pretrain"]), load_config(["stage=lm_pretrain", "scale=demo"])
    assert (full.data.context_tokens, demo.data.context_tokens) == (4096, 512)
    assert full.budget.tokens == 5_000_000_000_000
    assert demo.budget.tokens != full.budget.tokens


def test_the_command_line_beats_everything() -> None:
    config = load_config(
        ["stage=lm_sft", "scale=demo", "budget.max_steps=7", "hardware=a100", "hardware.precision=fp32"]
    )
    assert config.budget.max_steps == 7
    assert config.hardware.precision is Precision.fp32
    assert config.hardware.num_workers == 8


def test_the_order_of_overrides_does_not_matter() -> None:
    overrides = ["stage=vision_sft", "scale=demo", "optimizer.lr=1e-3"]
    assert load_config(overrides) == load_config(overrides[::-1])


def test_entries_of_mappings_need_no_plus_and_component_names_keep_their_dot() -> None:
    config = load_config(
        ["stage=vision_sft", "run.parents.vision_pretrain=/a/b", "optimizer.lr_multipliers.lora.vision=0.5"]
    )
    assert config.run.parents == {"vision_pretrain": "/a/b"}
    assert config.optimizer.lr_multipliers == {"lora.vision": 0.5}


def test_a_key_of_an_absent_section_can_be_set() -> None:
    config = load_config(["stage=lm_pretrain", "scale=demo", "optimizer.lr=null", "optimizer.lr_law.B=2e-3"])
    assert config.optimizer.lr_law is not None
    assert (config.optimizer.lr_law.B, config.optimizer.lr_law.exponent) == (2e-3, 0.32)


def test_a_users_recipe_builds_on_a_bundled_one(own: Path) -> None:
    full, demo = (load_config(["stage=mine", f"scale={scale}"], own) for scale in ("full", "demo"))
    assert (full.stage, full.data.manifest, full.data.context_tokens) == ("mine", "vision_align", 8192)
    assert full.trainable == ["vision_encoder", "vision_projector", "lora.vision"]
    assert (demo.data.max_crops, demo.budget.tokens) == (3, 4_000_000_000)


def test_a_users_file_that_hydra_would_ignore_is_refused(own: Path) -> None:
    write(own / "stage" / "vision_sft.yaml", "seed: 3\n")
    with pytest.raises(ConfigError, match=r"must have new names · found stage/vision_sft\.yaml"):
        load_config(["stage=vision_sft"], own)


def test_a_users_folder_must_exist(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"--config-dir must be a folder of yours · found none at .*/nowhere"
    ):
        load_config(["stage=vision_sft"], tmp_path / "nowhere")


def test_a_users_file_that_is_no_yaml_is_named_with_its_line(own: Path) -> None:
    write(own / "stage" / "broken.yaml", "defaults: [vision_sft]\nseed: ]\n")
    with pytest.raises(ConfigError, match=r"readable YAML · found in .*stage/broken\.yaml, line 3: "):
        load_config(["stage=broken"], own)
    with pytest.raises(ConfigError, match=r"stage/broken\.yaml, line 3: "):
        load_config([], own)


def test_manifests_of_a_users_folder_are_found_by_name(own: Path) -> None:
    (own / "data_manifests").mkdir()
    text = "name: own\ndescription: d\nsources: [{name: a, shards: [a.tar], weight: 1, licence: CC0}]\n"
    (own / "data_manifests" / "photos.yaml").write_text(text)
    config = load_config(["stage=mine", "data.manifest=photos"], own)
    assert (config.data.manifest, config.run.config_dir) == ("photos", str(own))
    with pytest.raises(ConfigError, match=r"found no 'phots' \(did you mean 'photos'\?\)"):
        load_config(["stage=mine", "data.manifest=phots"], own)


def test_the_users_folder_is_named_by_its_flag_alone(own: Path) -> None:
    with pytest.raises(ConfigError, match=r"run\.config_dir must be left to --config-dir"):
        load_config(["stage=mine", f"run.config_dir={own}"], own)


def test_mistakes_in_a_users_recipe_and_on_the_command_line_are_reported_together(own: Path) -> None:
    write(
        own / "stage" / "wrong.yaml",
        "defaults: [vision_sft]\nbudgett: {tokens: 1}\ndata: {max_crops: many}\n",
    )
    with pytest.raises(ConfigError) as caught:
        load_config(["stage=wrong", "optimizer.leaning_rate=1", "schedule.decay_fraction=2"], own)
    assert caught.value.problems == [
        "optimizer.leaning_rate must be a key of the configuration · found no such key · did you mean optimizer.lr?",
        "budgett must be a key of the configuration · found no such key · did you mean budget?",
        "data.max_crops must be a whole number · found 'many' · correct the value",
        "schedule.decay_fraction must be between 0 and 1 · found 2.0 · choose a number that is",
    ]


def test_an_ancestor_of_a_users_recipe_may_be_a_users_recipe(own: Path) -> None:
    write(own / "stage" / "next.yaml", "defaults: [mine]\nparents: [mine]\ninit: {}\n")
    with pytest.raises(ConfigError, match="init must name components that no parent provides"):
        load_config(["stage=next"], own)
    assert load_config(["stage=next", "~init"], own).parents == ["mine"]


def test_parents_that_lead_back_are_refused(own: Path) -> None:
    write(own / "stage" / "a.yaml", "defaults: [mine]\nparents: [b]\n")
    write(own / "stage" / "b.yaml", "defaults: [mine]\nparents: [a]\n")
    with pytest.raises(ConfigError, match="must not lead back to a stage · found a -> b -> a"):
        load_config(["stage=a"], own)


@pytest.mark.parametrize("init", ["{lora.vision: null}", "{lora: {vision: null}}"])
def test_a_derived_recipe_drops_what_it_inherits_with_null(init: str, tmp_path: Path) -> None:
    text = "defaults: [vision_sft]\nparents: [vision_sft]\n"
    write(tmp_path / "stage" / "mine.yaml", text)
    with pytest.raises(
        ConfigError, match=r"found 'lora.vision', which one hands on .* init: \{lora.vision: null\}"
    ):
        load_config(["stage=mine"], tmp_path)
    write(tmp_path / "stage" / "mine.yaml", f"{text}init: {init}\n")
    config = load_config(["stage=mine"], tmp_path)
    assert (config.parents, config.init) == (["vision_sft"], {})


@pytest.mark.parametrize(
    ("override", "section", "key"),
    [
        ("init.lora.vision=null", "init", "lora.vision"),
        ("run.parents.vision_pretrain=null", "parents", "vision_pretrain"),
        ("optimizer.lr_multipliers.lora.vision=null", "lr_multipliers", "lora.vision"),
        ("model.lora.speech=null", "lora", "speech"),
    ],
)
def test_null_drops_an_entry_of_every_mapping(override: str, section: str, key: str, tmp_path: Path) -> None:
    write(tmp_path / "stage" / "mine.yaml", "defaults: [vision_sft]\nparents: [vision_sft]\n")
    dropped = [] if override.startswith("init") else ["init.lora.vision=null"]
    config = load_config(["stage=mine", *dropped, override], tmp_path)
    mappings = {
        "init": config.init, "parents": config.run.parents, "lr_multipliers": config.optimizer.lr_multipliers,
        "lora": config.model.lora,
    }  # fmt: skip
    assert key not in mappings[section]


@pytest.mark.parametrize(
    ("unreadable", "wrong", "is_told"),
    [
        ("seed: x", "trainable: [seedling]", True),
        ("description: [1]", "trainable: [description]", True),
        ("checkpoint: 3", "safety: {max_bad_steps: 0}", True),
        ("data: {max_crops: x}", "data: {max_frames: 0}", True),
        ("data: {spec_augment: 3}", "model: {audio: {num_mels: 0}}", False),
    ],
)
def test_problems_of_what_could_be_read_are_told_beside_what_could_not(
    unreadable: str, wrong: str, is_told: bool, tmp_path: Path
) -> None:
    def problems(*texts: str) -> set[str]:
        for number, text in enumerate(texts):
            below = "lm_sft" if number == 0 else f"mine{number - 1}"
            write(tmp_path / "stage" / f"mine{number}.yaml", f"defaults: [{below}]\n{text}\n")
        with pytest.raises(ConfigError) as caught:
            load_config([f"stage=mine{len(texts) - 1}", "scale=demo"], tmp_path)
        return {*caught.value.problems}

    alone = {problem for problem in problems(wrong) if "must be" in problem or "must name" in problem}
    assert (alone <= problems(wrong, unreadable)) is is_told


def test_a_folder_of_any_name_is_searched(tmp_path: Path) -> None:
    folder = tmp_path / "it's $own, (1)"
    write(folder / "stage" / "mine.yaml", "defaults: [vision_sft]\nseed: 5\n")
    assert load_config(["stage=mine"], folder).seed == 5
