"""What a stage starts from, found and opened: its parents' artifacts, its tokenizer, its data."""

from collections.abc import Mapping
from dataclasses import dataclass

from phi4train.checkpoint.artifact import Artifact, named_fingerprints, open_artifact
from phi4train.checkpoint.assembly import ComponentSource, open_initial
from phi4train.config.schema import Config
from phi4train.data.batches.loader import DataPlan, data_fingerprint
from phi4train.errors import CheckpointError
from phi4train.run.paths import artifact_path, train_command
from phi4train.run.stage_data import StageData, data_plan, open_data


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
                f"stage `{config.stage}` must start from the artifact of `{stage}` · found none at {path} · "
                f"make it with `{train_command(config, stage)}`, or point run.parents.{stage} at one"
            )
        parents[stage] = open_artifact(path, needed_by=f"stage `{config.stage}`")
    return parents


@dataclass(frozen=True)
class StageInputs:
    """All that a stage is trained from, opened.

    Args:
        parents: artifacts by stage.
        initial: where `init` takes components from, by component.
        data: the mixture it trains on.
        plan: the numbers that decide its batches.
        data_fingerprint: hash of all that decides which samples step k of the stage holds, but for the seed.
    """

    parents: Mapping[str, Artifact]
    initial: Mapping[str, ComponentSource]
    data: StageData
    plan: DataPlan
    data_fingerprint: str

    @property
    def initialised_from(self) -> dict[str, str]:
        """Identities of the artifacts of `initial`."""
        return {component: source.artifact.lineage.identity for component, source in self.initial.items()}

    def fingerprints(self) -> dict[str, str]:
        """One fingerprint a part, by the name that messages use."""
        parents = {stage: parent.lineage.identity for stage, parent in self.parents.items()}
        return named_fingerprints(self.data_fingerprint, parents, self.initialised_from)


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
    plan = data_plan(config, data)
    return StageInputs(parents, initial, data, plan, data_fingerprint(data.mixture, plan))
