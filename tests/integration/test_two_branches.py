"""The vision and the speech stages start from one language model and meet in vision_speech."""

import io
import shutil
import subprocess
from collections.abc import Callable

import pytest
from rich.console import Console

from phi4train.checkpoint.artifact import all_components, find_component, load_component, open_artifact
from phi4train.checkpoint.lineage import lineage_text
from phi4train.config.curricula import load_curriculum
from phi4train.curriculum.regression_report import load_regression
from phi4train.errors import CheckpointError
from phi4train.training.stage import train_stage
from tests.stage_workspace import Workspace

QUIET = Console(quiet=True)
SPEECH, VISION_SPEECH = "audio_projector.speech", "audio_projector.vision_speech"
NEW_STAGES = ("vision_multiframe", "audio_pretrain", "audio_sft", "vision_speech")


def identities(workspace: Workspace, stage: str, run: str = "demo") -> dict[str, str]:
    """Hash of every component of the model that a stage hands on, whoever trained it."""
    artifact = open_artifact(workspace.runs / stage / run / "artifact", "the test")
    holders = {name: find_component({stage: artifact}, name) for name in all_components({stage: artifact})}
    return {name: holder.lineage.components[name] for name, holder in holders.items() if holder is not None}


def artifact_of(workspace: Workspace, stage: str, run: str = "demo") -> str:
    """The override that takes a parent from a run."""
    return f"run.parents.{stage}={workspace.runs / stage / run / 'artifact'}"


@pytest.mark.parametrize("stage", NEW_STAGES)
def test_a_stage_changes_what_it_trains_and_nothing_else(trained: Workspace, stage: str) -> None:
    config, after = trained.config(stage), identities(trained, stage)
    before = {name: value for parent in config.parents for name, value in identities(trained, parent).items()}
    changed = {name for name in before if after[name] != before[name]}
    assert changed == {name for name in config.trainable if name not in config.init}
    assert after.keys() == before.keys() | config.init.keys()


@pytest.mark.parametrize("stage", NEW_STAGES)
def test_a_stage_alone_trains_what_it_trains_in_the_curriculum(workspace: Workspace, stage: str) -> None:
    parents = [artifact_of(workspace, parent) for parent in workspace.config(stage).parents]
    train_stage(workspace.config(stage, "run.name=alone", *parents), QUIET)
    assert identities(workspace, stage, "alone") == identities(workspace, stage)


def test_the_two_branches_meet_in_one_model(trained: Workspace) -> None:
    joint = identities(trained, "vision_speech")
    vision, speech = identities(trained, "vision_multiframe"), identities(trained, "audio_sft")
    assert joint.keys() == vision.keys() | speech.keys()
    assert set(vision.keys() & speech.keys()) == {"language_model"}
    for name in ("audio_encoder", SPEECH, VISION_SPEECH, "lora.speech"):
        assert joint[name] == speech[name]


def test_speech_about_images_keeps_the_projector_of_the_pre_training(trained: Workspace) -> None:
    before, after = identities(trained, "audio_pretrain"), identities(trained, "audio_sft")
    assert after[VISION_SPEECH] == before[SPEECH] != after[SPEECH]
    text = lineage_text(trained.runs / "audio_sft" / "demo")
    identity = open_artifact(trained.runs / "audio_pretrain" / "demo" / "artifact", "x").lineage.identity
    assert f"{VISION_SPEECH} from {SPEECH} of {identity[:12]}" in text


def test_the_freeze_report_says_what_a_copy_is_a_copy_of(workspace: Workspace) -> None:
    said = Console(record=True, width=200, quiet=False, file=io.StringIO())
    parent = artifact_of(workspace, "audio_pretrain")
    train_stage(workspace.config("audio_sft", "run.name=again", parent), said)
    (line,) = [line for line in said.export_text().splitlines() if VISION_SPEECH in line and "copy" in line]
    assert f"copy of {SPEECH} from audio_pretrain" in line and "frozen" in line
    assert identities(workspace, "audio_sft", "again") == identities(workspace, "audio_sft")


@pytest.mark.parametrize("missing", ["vision_multiframe", "audio_sft"])
def test_either_parent_that_is_missing_is_named_with_its_command(workspace: Workspace, missing: str) -> None:
    shutil.rmtree(workspace.runs / missing)
    shutil.rmtree(workspace.runs / "vision_speech")
    with pytest.raises(
        CheckpointError, match=f"must start from the artifact of `{missing}` · found none"
    ) as caught:
        train_stage(workspace.config("vision_speech"), QUIET)
    assert f"python -m phi4train stage={missing} scale=demo" in str(caught.value)


def test_branches_of_different_language_models_are_refused(workspace: Workspace) -> None:
    pretrained = artifact_of(workspace, "lm_pretrain")
    train_stage(workspace.config("lm_sft", "run.name=other", "seed=1", pretrained), QUIET)
    for parent, stage in (("lm_sft", "audio_pretrain"), ("audio_pretrain", "audio_sft")):
        taken = artifact_of(workspace, parent, "other")
        train_stage(workspace.config(stage, "run.name=other", taken), QUIET)
    parents = [artifact_of(workspace, "vision_multiframe"), artifact_of(workspace, "audio_sft", "other")]
    config = workspace.config("vision_speech", "run.name=torn", *parents)
    with pytest.raises(CheckpointError, match=r"must agree on the component language_model · .*one common"):
        train_stage(config, QUIET)
    assert not (workspace.runs / "vision_speech" / "torn" / "artifact").exists()


def test_the_copys_bits_are_those_of_its_original(trained: Workspace) -> None:
    pre = open_artifact(trained.runs / "audio_pretrain" / "demo" / "artifact", "the test")
    sft = open_artifact(trained.runs / "audio_sft" / "demo" / "artifact", "the test")
    original, copy = load_component(pre, SPEECH), load_component(sft, VISION_SPEECH)
    assert {key: t.tolist() for key, t in original.items()} == {key: t.tolist() for key, t in copy.items()}


def test_the_regression_table_shows_that_text_has_not_moved_since_lm_sft(
    workspace: Workspace, command: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    shown = command("evaluate", "stage=vision_speech", "--regression", *workspace.overrides)
    assert shown.returncode == 0, shown.stderr
    assert "Earlier metrics after vision_speech" in shown.stdout
    found = load_regression(workspace.runs / "vision_speech" / "demo")
    assert found is not None
    by_stage = {ancestor.stage: ancestor for ancestor in found.ancestors}
    assert by_stage.keys() == {*load_curriculum().stages} - {"vision_speech"}
    text = by_stage["lm_sft"].changes
    assert len(text) > 10 and {change.verdict for change in text} == {"same"}
    seen = by_stage["vision_multiframe"].changes
    assert any(change.verdict != "same" for change in seen), "vision_speech trains the vision adapter on"
