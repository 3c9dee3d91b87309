"""A stage opened: its folder and all that it is trained from, found once and shared by whoever asks."""

from dataclasses import dataclass
from functools import cached_property

from phi4train.checkpoint.training_state import CheckpointFolder
from phi4train.config.schema import Config
from phi4train.run.inputs import StageInputs, open_inputs
from phi4train.run.paths import run_path
from phi4train.run.run_folder import RunFolder
from phi4train.run.status import StageStatus, stage_status
from phi4train.run.torch_setup import resolve_device


@dataclass(frozen=True)
class OpenedStage:
    """One stage run, before anything trains.

    Args:
        config: of the run.
        folder: where it leaves what it makes.
        inputs: parents, initial components and data.
    """

    config: Config
    folder: RunFolder
    inputs: StageInputs

    @cached_property
    def checkpoints(self) -> CheckpointFolder:
        """The checkpoints of the run, and which of them are kept."""
        settings = self.config.checkpoint
        return CheckpointFolder(self.folder.checkpoints, settings.keep_last_n, settings.keep_every_n)

    def status(self) -> StageStatus:
        """What the folder holds of the stage now."""
        return stage_status(self.config, self.folder, self.checkpoints, self.inputs.fingerprints())


def open_stage(config: Config) -> OpenedStage:
    """Opens what a stage starts from, and makes its folder; nothing of an earlier run is touched.

    Raises:
        CheckpointError: an artifact is missing or damaged.
        ManifestError: the manifest, a shard or an index is missing or stale.
        ConfigError: there is no such device, the tokenizer does not fit the model, or an artifact lacks what
            `init` takes from it.
    """
    resolve_device(config.hardware.device)
    RunFolder(run_path(config, config.stage)).make()  # a place that cannot be written to is told early
    return look_at_stage(config)


def look_at_stage(config: Config) -> OpenedStage:
    """As `open_stage`, but leaves no trace of it, not even a folder."""
    resolve_device(config.hardware.device)
    return OpenedStage(config, RunFolder(run_path(config, config.stage)), open_inputs(config))
