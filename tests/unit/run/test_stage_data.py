"""Data are opened under the limits of the recipe, and what does not fit the model is refused."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from phi4train.cli.main import main
from phi4train.config.load import load_config
from phi4train.config.schema import Config
from phi4train.data.media.limits import Limits
from phi4train.data.samples.tokenizer import train_bpe
from phi4train.errors import ConfigError, ManifestError
from phi4train.run.stage_data import data_plan, open_data, require_encoders, sample_costs

LoadOwn = Callable[..., Config]


def test_limits_are_those_of_the_recipe(own: LoadOwn) -> None:
    config = own(
        *("data.context_tokens=128", "hardware.micro_batch_tokens=256", "data.max_image_pixels=9000"),
        *("data.max_crops=5", "data.max_audio_seconds=7", "data.video_fps=2", "data.max_frames=3"),
    )
    limits = open_data(config).limits
    assert limits == Limits(128, 9000, limits.geometry, 7.0, 2.0, 3, 1)
    vision = config.model.vision
    assert (limits.geometry.crop_size, limits.geometry.patch_size, limits.geometry.max_crops) == (
        *(vision.crop_size, vision.patch_size),
        5,
    )


def test_the_plan_has_the_numbers_of_recipe_and_machine(own: LoadOwn) -> None:
    config = own(
        *(
            "data.context_tokens=128",
            "hardware.micro_batch_tokens=256",
            "seed=5",
            "data.spec_augment.time_masks=2",
        ),
        *("budget.global_batch_tokens=512", "data.spec_augment.time_width=9"),
    )
    plan = data_plan(config, open_data(config))
    assert (plan.pack_tokens, plan.micro_batch_tokens, plan.seed) == (128, 256, 5)
    assert (plan.batch_size.tokens, plan.batch_size.samples) == (512, None)
    assert (plan.spec_augment.time_masks, plan.spec_augment.time_width) == (2, 9)
    assert plan.limits.context_tokens == 128


def test_another_manifest_is_opened_by_name(own: LoadOwn) -> None:
    config = own()
    assert open_data(config).mixture.manifest.name == "mixture"
    with pytest.raises(ManifestError, match="mixtur"):
        open_data(config, "mixtur")


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(own: LoadOwn) -> None:
    fits = open_data(own("model.language_model.vocab_size=384"))
    assert fits.tokenizer.vocab_size == 384
    with pytest.raises(ConfigError, match=r"the 384 tokens of tokenizer.json · found 383 · set it"):
        open_data(own("model.language_model.vocab_size=383"))


def test_media_need_an_encoder_and_text_needs_none(own: LoadOwn) -> None:
    data = open_data(own())
    require_encoders(data, ["image", "audio"])
    with pytest.raises(ConfigError, match=r"found image media in mixture, and encoders of audio · choose"):
        require_encoders(data, ["audio"])
    with pytest.raises(ConfigError, match="and encoders of none · choose"):
        require_encoders(data, [])
    require_encoders(open_data(own(sources=("text",))), [])


def test_the_remedy_for_an_index_that_does_not_fit_mends_it_in_one_go(own: LoadOwn, tmp_path: Path) -> None:
    own()
    name, folder = "my, (own) tokenizer.json", tmp_path / "my conf"
    train_bpe(["other words"], 384, tmp_path / name)
    (folder / "data_manifests").mkdir(parents=True)
    (tmp_path / "mixture.yaml").rename(folder / "data_manifests" / "mine.yaml")
    paths = [f'tokenizer="{name}"', f"run.data_root={tmp_path}"]
    config = load_config(["stage=lm_pretrain", "scale=demo", "data.manifest=mine", *paths], folder)
    with pytest.raises(ManifestError) as caught:
        open_data(config)
    (command,) = set(re.findall("run `phi4train (.*?)`", str(caught.value)))
    assert main(shlex.split(command)) == 0
    assert open_data(config).mixture.manifest.reference == "mine"


def test_a_crop_costs_what_its_encoder_does_beside_the_language_model() -> None:
    """The released sizes: 0.41 billion parameters see each of 4 patches, 3.2 billion each token."""
    costs = sample_costs(load_config(["stage=vision_sft"]).model)
    assert costs.slot["image"] == pytest.approx(4 * 0.41 / 3.22, rel=0.3)
    assert 0 < costs.slot["audio"] < costs.slot["image"]
    assert costs.pair * 131072 / 2 == pytest.approx(4, rel=0.5), "attention of 128k tokens beside matrices"
