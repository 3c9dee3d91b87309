"""Every stage of the curriculum runs, chained, and keeps its promises about what may move."""

import io
import json
import os
import shutil
import signal
from pathlib import Path

import pytest
import torch
from rich.console import Console

from phi4train.batch import Batch
from phi4train.checkpoint.artifact import load_component, open_artifact
from phi4train.checkpoint.assembly import assemble_model
from phi4train.checkpoint.lineage import lineage_text
from phi4train.config.curricula import DEFAULT_CURRICULUM, load_curriculum
from phi4train.config.schema import Config
from phi4train.curriculum.running import run_curriculum
from phi4train.data.batches.loader import StepBatch
from phi4train.errors import (
    CheckpointError,
    ConfigError,
    FrozenParameterError,
    NonFiniteError,
    ResumeError,
    StageInterrupted,
)
from phi4train.evaluation.stage import evaluate_stage
from phi4train.model.phi4 import Phi4Model
from phi4train.run.schedule import Schedule
from phi4train.training import stage as stage_module
from phi4train.training.module import StageModule
from phi4train.training.stage import train_stage
from phi4train.training.watching import progress_bar
from tests.stage_workspace import Workspace

STAGES = load_curriculum(DEFAULT_CURRICULUM, None).stages
QUIET = Console(quiet=True)


def model_of(workspace: Workspace, stage: str) -> Phi4Model:
    artifact = open_artifact(workspace.runs / stage / "demo" / "artifact", "the test")
    model, _ = assemble_model(workspace.config(stage).model, {stage: artifact})
    return model.eval()


def text_batch(length: int = 40) -> Batch:
    ids_T = torch.randint(0, 1000, (length,), generator=torch.Generator().manual_seed(0))
    return Batch(
        input_ids_T=ids_T,
        position_ids_T=torch.arange(length),
        labels_T=ids_T,
        sample_lengths=(length,),
        modes=("text",),
        tasks=("t",),
        keys=("k",),
    )


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage_leaves_its_whole_run_folder(trained: Workspace, stage: str) -> None:
    run = trained.runs / stage / "demo"
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [0, 1]
    names = {p.name for p in run.iterdir()}
    assert {"config.yaml", "metrics.jsonl", "evaluation.json", "loss.png", "checkpoints", "artifact"} <= names
    assert not list(run.rglob("*.tmp-*"))
    lineage = open_artifact(run / "artifact", "the test").lineage
    config = trained.config(stage)
    assert set(lineage.components) == {*config.trainable, *config.init}
    assert set(lineage.parents) == set(config.parents)
    assert lineage.results["eval/loss"] > 0


@torch.no_grad()
@pytest.mark.parametrize(
    ("stage", "adapters"),
    [
        ("vision_sft", ["vision"]),
        ("vision_multiframe", ["vision"]),
        ("audio_sft", ["speech"]),
        ("vision_speech", ["vision", "speech"]),
    ],
)
def test_text_only_logits_are_those_of_lm_sft_bit_for_bit(
    trained: Workspace, stage: str, adapters: list[str]
) -> None:
    before, after = model_of(trained, "lm_sft"), model_of(trained, stage)
    assert after.adapters == adapters
    for name in adapters:
        adapter = after.get_parameter(f"language_model.layers.0.mlp.down_proj.lora_B.{name}.weight")
        assert adapter.abs().max() > 0, "the adapter must have learned something, or this shows nothing"
    batch = text_batch()
    logits = [model(batch) @ model.head_weight.T for model in (before, after)]
    assert torch.equal(logits[0], logits[1])


def test_a_thawed_weight_fails_the_run_and_leaves_no_artifact(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = StageModule.training_step

    def thawing(self: StageModule, batch: StepBatch, batch_idx: int) -> None:
        original(self, batch, batch_idx)
        with torch.no_grad():
            self.model.language_model.norm.weight[0] += 1e-3

    monkeypatch.setattr(StageModule, "training_step", thawing)
    config = workspace.config("vision_align", "run.name=thawed", *from_demo("vision_align", workspace))
    with pytest.raises(FrozenParameterError, match=r"found 1 that moved \(language_model\.norm\.weight\)"):
        train_stage(config, QUIET)
    run = workspace.runs / "vision_align" / "thawed"
    assert not (run / "artifact").exists() and not (run / "checkpoints").exists()
    monkeypatch.undo()
    train_stage(config, QUIET)
    starts_clean = workspace.config("vision_align", "run.name=clean", *from_demo("vision_align", workspace))
    clean = open_artifact(train_stage(starts_clean, QUIET), "the test")
    assert open_artifact(run / "artifact", "the test").lineage.components == clean.lineage.components


@pytest.mark.parametrize("precision", ["bf16_mixed", "bf16_true"])
def test_a_stage_with_images_and_adapters_runs_in_half_precision(
    workspace: Workspace, precision: str
) -> None:
    config = workspace.config(
        "vision_sft",
        "run.name=half",
        f"hardware.precision={precision}",
        "evaluation.every_n_steps=1",
        *from_demo("vision_sft", workspace),
    )
    artifact = train_stage(config, QUIET)
    adapter = load_component(open_artifact(artifact, "the test"), "lora.vision")
    expected = torch.bfloat16 if precision == "bf16_true" else torch.float32
    assert {tensor.dtype for tensor in adapter.values()} == {expected}
    target = evaluate_stage(config, QUIET, num_shown=1)
    assert json.loads(target.read_text())["accuracy"]


def test_evaluation_computes_in_the_precision_of_the_hardware(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtypes = []
    original = Phi4Model.forward

    def recording(self: Phi4Model, batch: Batch) -> torch.Tensor:
        hidden_TD = original(self, batch)
        dtypes.append((self.head_weight.dtype, torch.is_autocast_enabled("cpu")))
        return hidden_TD

    monkeypatch.setattr(Phi4Model, "forward", recording)
    for precision in ("fp32", "bf16_mixed", "bf16_true"):
        evaluate_stage(workspace.config("lm_sft", f"hardware.precision={precision}"), QUIET)
    seen = [(torch.float32, False), (torch.float32, True), (torch.bfloat16, False)]
    assert list(dict.fromkeys(dtypes)) == seen


def test_another_manifests_evaluation_does_not_replace_the_runs_own(workspace: Workspace) -> None:
    run = workspace.runs / "vision_sft" / "demo"
    before = (run / "evaluation.json").read_bytes()
    config = workspace.config("vision_sft", "evaluation.manifest=demo_lm_sft_eval")
    assert evaluate_stage(config, QUIET) == run / "evaluation-demo_lm_sft_eval.json"
    assert (run / "evaluation.json").read_bytes() == before


def test_evaluating_an_artifact_of_another_stage_is_refused(workspace: Workspace) -> None:
    other = workspace.runs / "lm_pretrain" / "demo" / "artifact"
    with pytest.raises(CheckpointError, match=r"found one of `lm_pretrain` in .* · say stage=lm_pretrain"):
        evaluate_stage(workspace.config("lm_sft"), QUIET, artifact=other)


@pytest.mark.parametrize("key", ["data", "evaluation"])
def test_media_without_their_encoder_are_refused_before_training(workspace: Workspace, key: str) -> None:
    arguments = [f"{key}.manifest=demo_vision_sft", "run.name=images", "data.max_crops=9"]
    config = workspace.config("lm_sft", *arguments, *from_demo("lm_sft", workspace))
    with pytest.raises(ConfigError, match=r"found image media in demo_vision_sft, and encoders of none"):
        train_stage(config, QUIET)
    assert not (workspace.runs / "lm_sft" / "images" / "config.yaml").exists()


def from_demo(stage: str, workspace: Workspace) -> list[str]:
    """Overrides that take the parents from the runs named demo."""
    parents = workspace.config(stage).parents
    return [f"run.parents.{p}={workspace.runs / p / 'demo' / 'artifact'}" for p in parents]


def test_a_done_stage_is_not_trained_again(workspace: Workspace) -> None:
    artifact = workspace.runs / "lm_sft" / "demo" / "artifact" / "files.json"
    before = artifact.stat().st_mtime_ns
    plot = artifact.parents[1] / "loss.png"
    plot.unlink()
    train_stage(workspace.config("lm_sft"), QUIET)
    assert artifact.stat().st_mtime_ns == before
    assert plot.is_file(), "a kill after the artifact may have left none"


def test_a_missing_parent_is_named_with_the_command_that_makes_it(
    workspace: Workspace, tmp_path: Path
) -> None:
    config = workspace.config("vision_sft", f"run.root={tmp_path / 'empty'}")
    with pytest.raises(
        CheckpointError, match=r"must start from the artifact of `vision_pretrain` · found none at"
    ) as e:
        train_stage(config, QUIET)
    assert "python -m phi4train stage=vision_pretrain scale=demo" in str(e.value)
    assert not (tmp_path / "empty" / "vision_sft" / "demo" / "artifact").exists()


def test_a_parent_of_another_model_size_is_refused(workspace: Workspace) -> None:
    config = workspace.config(
        "lm_sft",
        "run.name=wider",
        "model.language_model.intermediate_dim=512",
        *from_demo("lm_sft", workspace),
    )
    with pytest.raises(CheckpointError, match=r"another shape: layers\.0\.mlp\.gate_up_proj\.weight"):
        train_stage(config, QUIET)


def test_changed_settings_refuse_a_resume_and_name_the_keys(workspace: Workspace) -> None:
    (workspace.runs / "lm_sft" / "demo" / "artifact").rename(workspace.runs / "gone")
    with pytest.raises(ResumeError, match=r"optimizer\.weight_decay: .* -> 0\.5"):
        train_stage(workspace.config("lm_sft", "optimizer.weight_decay=0.5"), QUIET)
    train_stage(workspace.config("lm_sft", "logger.every_n_steps=1"), QUIET)


def test_resume_never_refuses_a_used_folder_and_overwrite_sets_it_aside(workspace: Workspace) -> None:
    with pytest.raises(ResumeError, match="resume=never"):
        train_stage(workspace.config("lm_sft", "resume=never"), QUIET)
    train_stage(workspace.config("lm_sft", "resume=overwrite", "seed=1"), QUIET)
    (aside,) = (workspace.runs / "lm_sft" / "demo").glob("previous-*")
    assert (aside / "artifact" / "lineage.json").is_file()
    children = lineage_text(workspace.runs / "vision_align" / "demo")
    assert "missing" not in children and str(aside) in children, "a set-aside parent is found"


def test_a_run_that_cannot_start_sets_nothing_aside(workspace: Workspace) -> None:
    config = workspace.config("lm_sft", "resume=overwrite", "model.language_model.intermediate_dim=512")
    with pytest.raises(CheckpointError, match="another shape"):
        train_stage(config, QUIET)
    assert not list((workspace.runs / "lm_sft" / "demo").glob("previous-*"))


def test_a_damaged_artifact_and_a_damaged_config_have_their_own_messages(workspace: Workspace) -> None:
    run = workspace.runs / "lm_sft" / "demo"
    (run / "artifact" / "files.json").write_text("[]")
    (run / "checkpoints").rename(run / "kept")
    with pytest.raises(CheckpointError, match=r"must be whole.* · found that files.json.*resume=overwrite"):
        train_stage(workspace.config("lm_sft"), QUIET)
    (run / "kept").rename(run / "checkpoints")
    shutil.rmtree(run / "artifact")
    (run / "config.yaml").write_text("a: [")
    with pytest.raises(CheckpointError, match=r"config.yaml must be the YAML mapping.*resume=overwrite"):
        train_stage(workspace.config("lm_sft"), QUIET)


def test_a_component_taken_from_an_artifact_is_part_of_the_lineage(workspace: Workspace) -> None:
    given = workspace.runs / "vision_align" / "demo" / "artifact"
    overrides = [
        "run.name=given",
        *(f"init.{name}={given}" for name in ("vision_projector", "vision_encoder")),
        *from_demo("vision_align", workspace),
    ]
    artifact = train_stage(workspace.config("vision_align", *overrides), QUIET)
    identity = open_artifact(given, "the test").lineage.identity
    named = open_artifact(artifact, "the test").lineage.initialised_from
    assert named == dict.fromkeys(("vision_projector", "vision_encoder"), identity)
    assert f"vision_projector from {identity[:12]}" in lineage_text(artifact)
    train_stage(workspace.config("vision_align", "resume=overwrite", "seed=1"), QUIET)
    with pytest.raises(ResumeError, match=rf"init.vision_projector: {identity[:12]} -> "):
        train_stage(workspace.config("vision_align", *overrides), QUIET)


def test_a_model_that_turns_to_nan_stops_the_run(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage_module, "build_schedule", lambda config: _exploding(config))
    config = workspace.config(
        "lm_pretrain",
        "run.name=nan",
        "optimizer.gradient_clip_val=0",
        "safety.max_bad_steps=2",
        "budget.max_steps=8",
    )
    with pytest.raises(NonFiniteError, match=r"2 steps in a row.*demo/"):
        train_stage(config, QUIET)
    assert not (workspace.runs / "lm_pretrain" / "nan" / "artifact").exists()


def interrupted(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Ctrl-C is pressed in the first step."""
    original = StageModule.training_step

    def pressed(self: StageModule, batch: StepBatch, batch_idx: int) -> None:
        original(self, batch, batch_idx)
        for _ in range(times if batch.step == 0 else 0):
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(StageModule, "training_step", pressed)


def test_ctrl_c_saves_and_stops_after_the_step(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    interrupted(monkeypatch, times=1)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(
        StageInterrupted,
        match=r"2 steps · found SIGINT after step 1 · .* again, but with resume=auto instead of"
        r" resume=overwrite, to go on",
    ):
        train_stage(workspace.config("lm_pretrain", "run.name=once", "resume=overwrite"), QUIET)
    assert "press it again to stop at once" in capfd.readouterr().err
    run = workspace.runs / "lm_pretrain" / "once"
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["step=00000001"]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_second_ctrl_c_stops_at_once_and_gives_terminal_and_signals_back(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(monkeypatch, times=2)
    stopped = []
    monkeypatch.setattr(progress_bar.RichProgress, "stop", lambda self: stopped.append(self))
    before = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)]
    with pytest.raises(KeyboardInterrupt):
        train_stage(workspace.config("lm_pretrain", "run.name=twice"), QUIET)
    assert stopped
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)] == before
    assert not (workspace.runs / "lm_pretrain" / "twice" / "checkpoints").exists()


def _exploding(config: Config) -> Schedule:
    return Schedule(1e30, 8, config.schedule.kind, 0, 0.1, 0.0)


def test_a_full_disk_while_saving_loses_nothing(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from phi4train.checkpoint import store

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    arguments = ["run.name=full", "budget.max_steps=4", "checkpoint.every_n_steps=2"]
    original, calls = store.save_file, []

    def full_later(*arguments: object) -> None:
        calls.append(arguments)
        full() if len(calls) > 1 else original(*arguments)

    monkeypatch.setattr(store, "save_file", full_later)
    with pytest.raises(CheckpointError, match="No space left on device"):
        train_stage(workspace.config("lm_pretrain", *arguments), QUIET)
    run = workspace.runs / "lm_pretrain" / "full"
    assert [p.name for p in (run / "checkpoints").iterdir()] == ["step=00000002"]
    monkeypatch.setattr(store, "save_file", original)
    train_stage(workspace.config("lm_pretrain", *arguments), QUIET)
    assert (run / "artifact" / "lineage.json").is_file()


def test_the_curriculum_skips_what_is_done_and_says_why_it_redoes_the_rest(workspace: Workspace) -> None:
    said = Console(record=True, width=400, quiet=False, file=io.StringIO())
    run_curriculum(STAGES, workspace.config, said)
    assert said.export_text().count("is done") == len(STAGES)

    def changed(stage: str) -> Config:
        return workspace.config(
            stage, *(["optimizer.weight_decay=0.25"] if stage == "vision_pretrain" else [])
        )

    # As if the first stage to redo had been interrupted before the change: checkpoints, but no artifact.
    shutil.rmtree(workspace.runs / "vision_pretrain" / "demo" / "artifact")
    with pytest.raises(ResumeError, match=r"add --yes .*not deleted"):
        run_curriculum(STAGES, changed, said)
    assert (workspace.runs / "vision_pretrain" / "demo" / "checkpoints").is_dir()
    run_curriculum(STAGES, changed, said, may_replace=True)
    text = said.export_text()
    done = [line.split()[0] for line in text.splitlines() if " is done: " in line]
    assert done == ["lm_pretrain", "lm_sft", "vision_align", "audio_pretrain", "audio_sft"]
    assert "vision_pretrain runs: recipe: optimizer.weight_decay" in text
    assert "vision_sft runs: parent vision_pretrain:" in text
    assert "vision_speech runs: parent vision_multiframe:" in text
