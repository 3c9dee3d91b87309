"""What a stage starts from, found and opened: its parents' artifacts, its tokenizer, its data."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from phi4train.checkpoint.artifact import Artifact, name_inputs, open_artifact
from phi4train.checkpoint.assembly import Source, open_initial
from phi4train.config.resources import manifest_folders
from phi4train.config.schema import Config, RunPathsConfig
from phi4train.data.images import ImageGeometry
from phi4train.data.lengths import Limits
from phi4train.data.loader import DataPlan, data_fingerprint
from phi4train.data.manifest import load_manifest
from phi4train.data.mixture import Mixture, open_mixture
from phi4train.data.order import BatchSize
from phi4train.data.spec_augment import SpecAugment
from phi4train.data.tokenizer import Tokenizer, load_tokenizer
from phi4train.errors import CheckpointError, ConfigError


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


def run_path(config: Config, stage: str) -> Path:
    """The run folder of a stage under this run's name."""
    return Path(config.run.root) / stage / config.run.name


def artifact_path(config: Config, stage: str) -> Path:
    """Where a stage's artifact is: `run.parents.<stage>` when given, else in its run folder."""
    given = config.run.parents.get(stage) if stage != config.stage else None
    return Path(given) if given else run_path(config, stage) / "artifact"


def train_command(config: Config, stage: str) -> str:
    """The command that makes the artifact of `stage` that this run looks for, to be pasted in a shell.

    A path of another shape than `<root>/<stage>/<name>/artifact` no run writes to: then it trains beside
    this run.
    """
    run, path = config.run, artifact_path(config, stage)
    if (path.name, path.parent.parent.name) == ("artifact", stage):
        run = replace(run, root=str(path.parent.parent.parent), name=path.parent.name)
    defaults = RunPathsConfig(name=config.scale)
    given = [
        f"run.{key}={getattr(run, key)}"
        for key in ("root", "name", "data_root")
        if getattr(run, key) != getattr(defaults, key)
    ]
    own = ["--config-dir", run.config_dir] if run.config_dir is not None else []
    return shlex.join(["python", "-m", "phi4train", f"stage={stage}", f"scale={config.scale}", *given, *own])


def open_parents(config: Config) -> dict[str, Artifact]:
    """The artifacts of the recipe's parents, by stage.

    Raises:
        CheckpointError: one is missing; says which command makes it.
    """
    parents = {}
    for stage in config.parents:
        path = artifact_path(config, stage)
        if not path.is_dir():
            raise CheckpointError(
                f"stage `{config.stage}` starts from the artifact of `{stage}`: {path} does not exist. "
                f"Make it with `{train_command(config, stage)}`, "
                f"or point run.parents.{stage} at one."
            )
        parents[stage] = open_artifact(path, needed_by=f"stage `{config.stage}`")
    return parents


def open_data(config: Config, manifest_name: str | None = None) -> StageData:
    """The recipe's mixture (or another one), with its tokenizer and image geometry.

    Raises:
        ManifestError: the manifest, a shard or an index is missing or stale.
        ConfigError: the tokenizer does not fit the model.
    """
    data_root = Path(config.run.data_root)
    tokenizer = load_tokenizer(config.tokenizer, data_root)
    vocab_size = config.model.language_model.vocab_size
    if tokenizer.vocab_size > vocab_size:
        raise ConfigError(
            f"model.language_model.vocab_size must hold the tokenizer: {config.tokenizer} has "
            f"{tokenizer.vocab_size} tokens, the model {vocab_size}; set the model's to at least as many."
        )
    folders = manifest_folders(config.run.config_dir)
    manifest = load_manifest(manifest_name or config.data.manifest, folders)
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
        ),
        cache_dir=cache_dir,
    )


def data_plan(config: Config, data: StageData) -> DataPlan:
    """The numbers of the recipe and the machine that decide the batches."""
    return DataPlan(
        batch_size=BatchSize(config.budget.global_batch_samples, config.budget.global_batch_tokens),
        limits=data.limits,
        pack_tokens=config.data.context_tokens,
        micro_batch_tokens=config.hardware.micro_batch_tokens,
        seed=config.seed,
        spec_augment=SpecAugment(**asdict(config.data.spec_augment)),
    )


@dataclass(frozen=True)
class StageInputs:
    """All that a stage is trained from, opened.

    Args:
        parents: artifacts by stage.
        initial: where `init` takes components from, by component.
        data_fingerprint: hash of all that decides which samples step k of the stage holds, but for the seed.
    """

    parents: Mapping[str, Artifact]
    initial: Mapping[str, Source]
    data: StageData
    data_fingerprint: str

    @property
    def initialised_from(self) -> dict[str, str]:
        """Identities of the artifacts of `initial`."""
        return {component: source.artifact.lineage.identity for component, source in self.initial.items()}

    def fingerprints(self) -> dict[str, str]:
        """One fingerprint a part, by the name that messages use."""
        parents = {stage: parent.lineage.identity for stage, parent in self.parents.items()}
        return name_inputs(self.data_fingerprint, parents, self.initialised_from)


def open_inputs(config: Config) -> StageInputs:
    """Opens the stage's parents, the artifacts that `init` names, and its data.

    Raises:
        CheckpointError: an artifact is missing or damaged.
        ManifestError: the manifest, a shard or an index is missing or stale.
        ConfigError: the tokenizer does not fit the model, or an artifact lacks what `init` takes from it.
    """
    parents = open_parents(config)
    initial = open_initial(config.init, parents)
    data = open_data(config)
    return StageInputs(parents, initial, data, data_fingerprint(data.mixture, data_plan(config, data)))


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
            f"the model must have an encoder for each kind of media in its data: {name} holds "
            f"{' and '.join(missing)} media, the model encodes {', '.join(known) or 'none'}. "
            "Choose another manifest, or a stage whose model has the encoder."
        )
