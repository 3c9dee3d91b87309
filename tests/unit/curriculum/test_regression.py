"""A later stage beside what its ancestors measured."""

import io
import json
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
import yaml
from rich.console import Console

from phi4train.checkpoint.artifact import Artifact, save_artifact
from phi4train.cli.main import main
from phi4train.config.convert import config_to_dict
from phi4train.config.load import load_config
from phi4train.config.schema import Config, Precision
from phi4train.curriculum import regression
from phi4train.curriculum.regression import MissingAncestor, ancestors_of, measure_regression
from phi4train.curriculum.regression_report import (
    AncestorChanges,
    MetricChange,
    Regression,
    load_regression,
    regression_parts,
    save_regression,
)
from phi4train.curriculum.summary import print_regressions
from phi4train.errors import ConfigError
from phi4train.evaluation.metrics.perplexity import Perplexity
from phi4train.evaluation.report import EvaluationReport, save_report
from phi4train.run.run_folder import RunFolder

BESIDE = {"eval/loss": 2.0, "eval/perplexity_bigram": 9.0, "eval/skipped_samples": 0.0}
"""What no change is told of."""
METRICS = {"eval/perplexity": 8.0, "eval/perplexity/text": 8.0, "eval/wer": 0.5, "eval/accuracy": 0.25}


@pytest.fixture(scope="module")
def config() -> Config:
    return load_config(["stage=vision_sft", "scale=demo"])


def own_config(config: Config, stage: str) -> Config:
    """Of an ancestor: with limits and batches that no other stage has."""
    return replace(
        config,
        stage=stage,
        model=replace(config.model, lora={}),
        data=replace(config.data, max_crops=len(stage), context_tokens=32 * len(stage)),
        evaluation=replace(config.evaluation, manifest=f"{stage}_eval", max_new_tokens=len(stage)),
        hardware=replace(config.hardware, micro_batch_tokens=64 * len(stage)),
    )


@dataclass
class Curriculum:
    """Run folders on disk whose models are made up.

    Args:
        after: what the youngest stage measures now, by manifest; an error is raised.
        asked: the configurations it was measured with, by manifest.
    """

    root: Path
    config: Config
    artifacts: dict[str, Artifact] = field(default_factory=dict)
    after: dict[str, EvaluationReport | Exception] = field(default_factory=dict)
    asked: dict[str, Config] = field(default_factory=dict)

    def train(self, stage: str, *parents: str) -> Artifact:
        run = RunFolder(self.root / stage / "demo")
        run.write_config(config_to_dict(own_config(self.config, stage)))
        metrics = {**METRICS, **BESIDE}
        document = {"metrics": metrics, "perplexity": [{"task": "all", "num_targets": 10}]}
        (run.path / "evaluation.json").write_text(json.dumps(document))
        self.after[f"{stage}_eval"] = reported(METRICS)
        self.artifacts[stage] = save_artifact(
            run.artifact,
            {stage: {"w": torch.ones(1)}},
            stage=stage,
            parents={name: self.artifacts[name] for name in parents},
            recipe={},
            data_fingerprint="d",
            code={},
            results={},
        )
        return self.artifacts[stage]

    def compare(self, stage: str, config: Config | None = None) -> tuple[dict[str, AncestorChanges], str]:
        """What was saved, by ancestor, and what was printed."""
        console = Console(record=True, width=250, file=io.StringIO())
        target = measure_regression(config or replace(self.config, stage=stage), console)
        found = load_regression(target.parent)
        assert target == self.artifacts[stage].path.parent / "regression.json"
        assert found is not None and found.identity == self.artifacts[stage].lineage.identity
        return {ancestor.stage: ancestor for ancestor in found.ancestors}, console.export_text()


@dataclass
class FakeStage:
    """Stands in for a trained stage: measures what the curriculum says."""

    artifact: Artifact
    curriculum: Curriculum

    def measure(self, config: Config) -> EvaluationReport:
        manifest = config.evaluation.manifest
        assert manifest is not None
        self.curriculum.asked[manifest] = config
        found = self.curriculum.after[manifest]
        if isinstance(found, Exception):
            raise found
        return found


@dataclass(frozen=True)
class FakeReport(EvaluationReport):
    """Has the metrics that it is given."""

    given: tuple[tuple[str, float], ...] = ()

    def metrics(self) -> dict[str, float]:
        return dict(self.given)


def reported(metrics: Mapping[str, float], num_targets: int = 10) -> FakeReport:
    overall = Perplexity("all", num_targets, {"model": 1.0})
    return FakeReport({"perplexity": (overall,)}, (), given=tuple({**metrics, **BESIDE}.items()))


@pytest.fixture
def curriculum(tmp_path: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> Curriculum:
    """lm, sft, and two branches that meet again."""
    made = Curriculum(tmp_path, replace(config, run=replace(config.run, root=str(tmp_path))))
    for stage, parents in {"lm": (), "sft": ("lm",), "vision": ("sft",), "audio": ("sft",)}.items():
        made.train(stage, *parents)
    made.train("joint", "vision", "audio")
    monkeypatch.setattr(regression, "find_artifact", lambda config, _: made.artifacts[config.stage])
    monkeypatch.setattr(regression, "open_model", lambda artifact, *_: FakeStage(artifact, made))
    monkeypatch.setattr(regression, "evaluate_trained", FakeStage.measure)
    return made


def test_every_ancestor_is_met_once_and_after_its_parents(curriculum: Curriculum) -> None:
    found = list(ancestors_of(curriculum.artifacts["joint"]))
    assert all(isinstance(ancestor, Artifact) for ancestor in found)
    stages = [one.lineage.stage for one in found if isinstance(one, Artifact)]
    assert stages == ["lm", "sft", "audio", "vision"]


def test_an_ancestor_that_is_gone_is_listed_and_the_others_compared(curriculum: Curriculum) -> None:
    shutil.rmtree(curriculum.artifacts["audio"].path)
    gone = [one for one in ancestors_of(curriculum.artifacts["joint"]) if isinstance(one, MissingAncestor)]
    assert [one.stage for one in gone] == ["audio"]
    found, printed = curriculum.compare("joint")
    assert found["audio"].changes == ()
    assert "audio: its artifact is missing: " in printed
    assert all(found[stage].changes for stage in ("lm", "sft", "vision"))


def test_an_ancestors_data_is_measured_within_its_own_limits(curriculum: Curriculum) -> None:
    curriculum.compare("joint")
    assert list(curriculum.asked) == ["lm_eval", "sft_eval", "audio_eval", "vision_eval"]
    asked, own = curriculum.asked["vision_eval"], own_config(curriculum.config, "vision")
    assert (asked.data, asked.evaluation) == (own.data, own.evaluation)
    assert asked.hardware.micro_batch_tokens == own.hardware.micro_batch_tokens
    assert asked.run == curriculum.config.run


def test_the_machine_is_the_later_stages_and_another_precision_is_told(curriculum: Curriculum) -> None:
    hardware = replace(curriculum.config.hardware, precision=Precision.bf16_true, num_threads=7)
    found, printed = curriculum.compare("sft", replace(curriculum.config, stage="sft", hardware=hardware))
    assert curriculum.asked["lm_eval"].hardware.num_threads == 7
    assert "lm: measured in fp32 then, in bf16_true now." in printed
    assert found["lm"].changes


def test_what_did_not_move_is_the_same_and_what_did_has_its_direction(curriculum: Curriculum) -> None:
    moved = {**METRICS, "eval/perplexity/text": 9.5, "eval/wer": 0.375, "eval/accuracy": 0.125}
    curriculum.after["lm_eval"] = reported(moved)
    found, printed = curriculum.compare("sft")
    assert found["lm"].manifest == "lm_eval"
    assert {one.metric: (one.change, one.verdict) for one in found["lm"].changes} == {
        "eval/perplexity": (0.0, "same"),
        "eval/perplexity/text": (1.5, "worse"),
        "eval/wer": (-0.125, "better"),
        "eval/accuracy": (-0.125, "worse"),
    }
    rows = [line.replace("│", " ").split() for line in printed.splitlines() if line.startswith("│")]
    assert rows == [
        ["lm", "perplexity", "8.000", "8.000", "0", "same"],
        ["perplexity/text", "8.000", "9.500", "+1.500", "worse"],
        ["wer", "50.0", "%", "37.5", "%", "-12.5", "better"],
        ["accuracy", "25.0", "%", "12.5", "%", "-12.5", "worse"],
    ]


def test_a_change_too_small_for_the_table_is_not_shown_as_none(curriculum: Curriculum) -> None:
    curriculum.after["lm_eval"] = reported({**METRICS, "eval/perplexity": 8.0 + 2e-9})
    assert "+2e-09" in curriculum.compare("sft")[1]


def without_report(run: RunFolder, _: Config) -> None:
    (run.path / "evaluation.json").unlink()


def with_an_old_report(run: RunFolder, _: Config) -> None:
    (run.path / "evaluation.json").write_text('{"perplexity": []}')


def without_config(run: RunFolder, _: Config) -> None:
    run.config.unlink()


def without_manifest(run: RunFolder, own: Config) -> None:
    run.write_config(config_to_dict(replace(own, evaluation=replace(own.evaluation, manifest=None))))


def with_an_unknown_limit(run: RunFolder, own: Config) -> None:
    values = config_to_dict(own)
    run.write_config({**values, "data": {**values["data"], "max_smells": 3}})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (without_report, "evaluation.json · write it with `python -m phi4train evaluate stage=lm scale=demo"),
        (
            with_an_old_report,
            "evaluation.json must hold metrics · found none, as an earlier version wrote it · write it with",
        ),
        (without_config, "config.yaml must say what it was measured on · found no such file · put it back"),
        (without_manifest, "evaluation.manifest must name held-out data · found none in "),
        (
            with_an_unknown_limit,
            "must be of this version of phi4train · found data.max_smells must be a key of the ",
        ),
    ],
)
def test_an_ancestor_that_cannot_be_compared_says_why_and_holds_up_no_other(
    spoil: Callable[[RunFolder, Config], None], reason: str, curriculum: Curriculum
) -> None:
    spoil(RunFolder(curriculum.root / "lm" / "demo"), own_config(curriculum.config, "lm"))
    found, printed = curriculum.compare("vision")
    assert "lm: skipped: " in printed
    assert reason in printed
    assert found["lm"].changes == ()
    assert found["sft"].changes


def test_a_key_of_another_version_that_decides_nothing_is_overlooked(curriculum: Curriculum) -> None:
    run = RunFolder(curriculum.root / "lm" / "demo")
    values = config_to_dict(own_config(curriculum.config, "lm"))
    run.write_config({**values, "checkpoint": {**values["checkpoint"], "every_n_moons": 1}})
    assert curriculum.compare("sft")[0]["lm"].changes


def test_media_that_the_model_cannot_encode_are_skipped_with_a_line(curriculum: Curriculum) -> None:
    curriculum.after["audio_eval"] = ConfigError("the model must have an encoder: [audio] is none.")
    found, printed = curriculum.compare("joint")
    assert "audio: skipped: the model must have an encoder: [audio] is none." in printed
    assert (found["audio"].manifest, found["audio"].changes) == ("audio_eval", ())
    assert found["vision"].changes


def test_other_data_than_then_is_told(curriculum: Curriculum) -> None:
    curriculum.after["lm_eval"] = reported(METRICS, num_targets=11)
    printed = curriculum.compare("sft")[1]
    assert "lm: measured on 10 targets then, on 11 now: the data or a limit has changed." in printed


def test_a_metric_that_is_no_longer_imported_is_told(curriculum: Curriculum) -> None:
    path = curriculum.root / "lm" / "demo" / "evaluation.json"
    document = json.loads(path.read_text())
    document["metrics"] |= {"eval/tone": 0.5, "eval/tone/chat": 0.5}
    path.write_text(json.dumps(document))
    found, printed = curriculum.compare("sft")
    assert "lm: eval/tone measured then, by a metric that is not known now; add to imports what" in printed
    assert {one.metric for one in found["lm"].changes} == METRICS.keys()
    assert found["lm"].notes and not curriculum.compare("vision")[0]["sft"].notes


def test_the_modules_of_an_ancestor_are_imported_where_they_are_found(
    curriculum: Curriculum, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "tone_metric.py").write_text("import json\nprint('the metric is registered')\n")
    monkeypatch.syspath_prepend(str(tmp_path / "own"))
    path = curriculum.root / "lm" / "demo" / "config.yaml"
    document = yaml.safe_load(path.read_text()) | {"imports": ["tone_metric", "gone_metric"]}
    path.write_text(yaml.safe_dump(document))
    found, _ = curriculum.compare("sft")
    assert "tone_metric" in sys.modules and {one.metric for one in found["lm"].changes} == METRICS.keys()


def test_a_change_of_an_unknown_metric_is_neither_better_nor_worse(curriculum: Curriculum) -> None:
    run = curriculum.artifacts["lm"].path.parent
    changes = (MetricChange("eval/tone", 0.5, 0.25),)
    saved = Regression("joint", "1", (AncestorChanges("lm", "lm_eval", changes, ()),))
    save_regression(saved, run)
    assert load_regression(run) == saved
    console = Console(record=True, width=150, file=io.StringIO())
    console.print(*regression_parts(saved))
    [row] = [line for line in console.export_text().splitlines() if line.startswith("│")]
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        *("lm", "tone", "0.500", "0.250", "-0.250", "moved")
    ]


def test_a_first_stage_has_nothing_to_be_compared_with(curriculum: Curriculum) -> None:
    found, printed = curriculum.compare("lm")
    assert found == {}
    assert "lm starts from no other stage: there is nothing to compare." in printed


def test_a_report_that_is_saved_can_be_compared_with(tmp_path: Path) -> None:
    save_report(reported(METRICS), tmp_path / "evaluation.json")
    saved = json.loads((tmp_path / "evaluation.json").read_text())
    assert saved["metrics"] == {**METRICS, **BESIDE}
    assert saved["perplexity"][-1]["num_targets"] == 10


def test_a_curriculum_ends_with_the_tables_of_its_artifacts(curriculum: Curriculum) -> None:
    artifacts = [artifact.path for artifact in curriculum.artifacts.values()]

    def printed() -> str:
        console = Console(record=True, width=150, file=io.StringIO())
        print_regressions(artifacts, console)
        return console.export_text()

    assert "`phi4train evaluate stage=joint ... --regression`" in printed()
    curriculum.compare("vision")
    assert "Earlier metrics after vision" in printed()
    assert "--regression" not in printed()
    run = curriculum.artifacts["vision"].path.parent
    compared = load_regression(run)
    assert compared is not None
    save_regression(replace(compared, identity="of another artifact"), run)
    assert "Earlier metrics" not in printed()


def test_the_flag_asks_for_the_stages_own_artifact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["stage=lm_sft", "scale=demo", f"run.root={tmp_path}", "--regression"]
    assert main(["evaluate", *words]) == 2
    assert "evaluating `lm_sft` needs its artifact" in capsys.readouterr().err


def test_answers_are_not_shown_of_other_stages_data(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "stage=lm_sft", "--regression", "--show", "3"])
    assert caught.value.code == 2
    assert "not allowed with argument" in capsys.readouterr().err
