"""The data of a mixture under the limits of a recipe, opened."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from phi4train.config.resources import manifest_folders
from phi4train.config.schema import Config
from phi4train.data.batches.loader import DataPlan
from phi4train.data.commands import Asked
from phi4train.data.media.images import ImageGeometry
from phi4train.data.media.limits import Limits
from phi4train.data.order.dealing import SampleCosts
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.tokenizer import Tokenizer, load_tokenizer
from phi4train.data.shards.manifest import load_manifest
from phi4train.data.shards.mixture import Mixture, open_mixture
from phi4train.errors import ConfigError
from phi4train.model.shapes import ModelShape
from phi4train.objectives.registry import known_losses

_PATCHES_PER_SLOT = 4


@dataclass(frozen=True)
class StageData:
    """Data of one mixture, opened.

    Args:
        mixture: the shards' indexes.
        tokenizer: turns text into ids.
        limits: context, and what a sample's media may measure.
        cache_dir: folder of cached remote shards.
    """

    mixture: Mixture
    tokenizer: Tokenizer
    limits: Limits
    cache_dir: Path


def open_data(
    config: Config, manifest_name: str | None = None, tokenizer: Tokenizer | None = None
) -> StageData:
    """The recipe's mixture (or another one), with its tokenizer and image geometry.

    Args:
        config: gives paths and limits.
        manifest_name: None: the one that the recipe trains on.
        tokenizer: the recipe's, where it is loaded already.

    Raises:
        ManifestError: the manifest, a shard or an index is missing or stale.
        ConfigError: the tokenizer does not fit the model.
    """
    data_root = Path(config.run.data_root)
    tokenizer = tokenizer or load_tokenizer(config.tokenizer, data_root)
    vocab_size = config.model.language_model.vocab_size
    if tokenizer.vocab_size > vocab_size:
        raise ConfigError(
            f"model.language_model.vocab_size must hold the {tokenizer.vocab_size} tokens of "
            f"{config.tokenizer} · found {vocab_size} · set it to at least {tokenizer.vocab_size}"
        )
    folders = manifest_folders(config.run.config_dir)
    manifest = load_manifest(manifest_name or config.data.manifest, folders, _asked(config))
    cache_dir = data_root / ".cache"
    vision = config.model.vision
    return StageData(
        mixture=open_mixture(manifest, data_root, cache_dir, tokenizer),
        tokenizer=tokenizer,
        limits=Limits(
            context_tokens=config.data.context_tokens,
            max_image_pixels=config.data.max_image_pixels,
            geometry=ImageGeometry(vision.crop_size, vision.patch_size, config.data.max_crops),
            max_audio_seconds=config.data.max_audio_seconds,
            video_fps=config.data.video_fps,
            max_frames=config.data.max_frames,
            num_branches=known_losses()[config.objective].num_branches,
        ),
        cache_dir=cache_dir,
    )


def _asked(config: Config) -> Asked:
    """What decides, besides the place of the data, which index fits a recipe."""
    settings = {"stage": config.stage, "scale": config.scale, "tokenizer": config.tokenizer}
    return Asked(settings, config.imports, config.run.config_dir)


def data_plan(config: Config, data: StageData) -> DataPlan:
    """The numbers of the recipe and the machine that decide the batches."""
    return DataPlan(
        batch_size=BatchSize(config.budget.global_batch_samples, config.budget.global_batch_tokens),
        limits=data.limits,
        pack_tokens=data.limits.sample_tokens,
        micro_batch_tokens=config.hardware.micro_batch_tokens,
        seed=config.seed,
        spec_augment=config.data.spec_augment,
        costs=sample_costs(config.model),
    )


def sample_costs(model: ModelShape) -> SampleCosts:
    """What a sample costs a model of these sizes, by the multiplications of its matrices and of attention."""
    language, vision, audio = model.language_model, model.vision, model.audio
    token = language.num_parameters - language.vocab_size * language.hidden_dim
    num_patches = (vision.crop_size // vision.patch_size) ** 2
    patch = (vision.num_layers - 1) * (
        vision.hidden_dim * (4 * vision.hidden_dim + 2 * vision.intermediate_dim + 2 * num_patches)
    )
    frame = audio.num_layers * audio.hidden_dim * (7 * audio.hidden_dim + 6 * audio.intermediate_dim)
    return SampleCosts(
        pair=2 * language.num_layers * language.hidden_dim / token,
        slot={"image": _PATCHES_PER_SLOT * patch / token, "audio": frame / token},
    )


def require_encoders(data: StageData, encoders: Iterable[str]) -> None:
    """Refuses a mixture with media that a model without their encoder would only meet while it runs.

    Args:
        encoders: modalities that the model encodes.

    Raises:
        ConfigError: names the modalities.
    """
    tables = [table for source in data.mixture.sources for table in source.tables]
    kinds = {kind for table in tables for kind in table.media_kinds}
    known = sorted(encoders)
    missing = sorted(kinds - set(known))
    if missing:
        name = data.mixture.manifest.name
        raise ConfigError(
            f"the model must have an encoder for each kind of media in its data · found "
            f"{' and '.join(missing)} media in {name}, and encoders of {', '.join(known) or 'none'} · "
            "choose another manifest, or a stage whose model has the encoder"
        )
