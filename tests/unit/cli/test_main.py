"""The command line in this process: dispatch, errors and exit codes; nothing is trained."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import phi4train
from phi4train.cli.main import main
from phi4train.config.schema import Config
from phi4train.errors import CheckpointError, StageInterrupted

MANIFEST = """\
name: mine
description: d
sources: [{name: a, shards: [a.tar], weight: 1, licence: CC0}]
"""


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Config]:
    """Configurations that would have been trained; runs go to a temporary folder."""
    configs: list[Config] = []
    stage = SimpleNamespace(train_stage=lambda config, console: configs.append(config))
    monkeypatch.setitem(sys.modules, "phi4train.training.stage", stage)
    monkeypatch.chdir(tmp_path)
    return configs


def test_no_verb_trains_one_stage(trained: list[Config], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stage=lm_sft", "scale=demo", "seed=3"]) == 0
    assert [(config.stage, config.scale, config.seed) for config in trained] == [("lm_sft", "demo", 3)]
    assert capsys.readouterr().out == ""


def test_train_may_be_said(trained: list[Config]) -> None:
    assert main(["train", "stage=lm_sft"]) == 0
    assert len(trained) == 1


def test_hydra_leaves_nothing_behind(trained: list[Config], tmp_path: Path) -> None:
    main(["stage=lm_sft", "scale=demo"])
    assert list(tmp_path.iterdir()) == []


def test_a_multirun_trains_each_value_in_a_folder_of_its_own(trained: list[Config], tmp_path: Path) -> None:
    assert main(["-m", "stage=lm_sft", "scale=demo", "optimizer.lr=1e-3,2e-3", "seed=0,1"]) == 0
    assert [(config.optimizer.lr, config.seed) for config in trained] == [
        (1e-3, 0),
        (1e-3, 1),
        (2e-3, 0),
        (2e-3, 1),
    ]
    assert len({config.run.name for config in trained}) == 4
    assert {config.run.parents["lm_pretrain"] for config in trained} == {"runs/lm_pretrain/demo/artifact"}
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["multirun.yaml"]


def test_a_multirun_trains_what_it_can_and_names_what_it_cannot(
    trained: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["-m", "stage=lm_sft", "scale=demo", "schedule.decay_fraction=0.5,2,0.25"]
    assert main(arguments) == 2
    assert [config.schedule.decay_fraction for config in trained] == [0.5, 0.25]
    assert (
        "found 1 of 3 that were not:\n  schedule.decay_fraction=2: schedule.decay_fraction must be between 0 "
        "and 1 · found 2.0 · choose a number that is\n · mend" in capsys.readouterr().err
    )


def test_a_multirun_of_mistakes_alone_writes_nothing(trained: list[Config], tmp_path: Path) -> None:
    assert main(["-m", "stage=lm_sft", "scale=demo", f"seed={2**64},-1"]) == 2
    assert main(["-m", "stage=lm_sft", "scale=demo", "seed=1,2", "lrr=3"]) == 2
    assert trained == [] and list(tmp_path.iterdir()) == []


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == main(["stage=lm_sft", "--version"]) == 0
    assert capsys.readouterr().out == f"phi4train {phi4train.__version__}\n" * 2


def test_a_users_folder_and_flags_may_stand_anywhere(trained: list[Config], tmp_path: Path) -> None:
    (tmp_path / "own" / "stage").mkdir(parents=True)
    recipe = "# @package _global_\ndefaults: [vision_sft]\nseed: 5\n"
    (tmp_path / "own" / "stage" / "mine.yaml").write_text(recipe)
    assert main(["--config-dir", "own", "stage=mine", "run.parents.vision_pretrain=/x"]) == 0
    assert [(config.stage, config.seed, config.run.parents) for config in trained] == [
        ("mine", 5, {"vision_pretrain": "/x"})
    ]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["train", "--help"]])
def test_help_lists_stages_scales_verbs_and_flags(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    text = capsys.readouterr().out
    for word in (
        "vision_sft  ",
        "full, demo, 10m",
        "hardware=a100|auto",
        "curriculum",
        "--multirun",
        "--config-dir",
    ):
        assert word in text


def test_help_lists_the_stages_of_a_users_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "mine.yaml").write_text('description: "\\x1b[2J of my own."\n')
    for flag in (["--config-dir", str(tmp_path)], [f"--config-dir={tmp_path}"], ["-cd", str(tmp_path)]):
        assert main(["--help", *flag]) == main([*flag, "-h"]) == 0
        assert capsys.readouterr().out.count(r"\x1b[2J of my own.") == 2
    assert main(["--help", "--config-dir", "nowhere"]) == 2


def test_help_of_a_stage_shows_its_values(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["stage=lm_sft", "--help"])
    assert caught.value.code == 0
    assert "global_batch_tokens: 1048576" in capsys.readouterr().out


def test_cfg_job_prints_what_would_run_and_trains_nothing(
    trained: list[Config], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stage=vision_sft", "scale=demo", "--cfg", "job", "--resolve"]) == 0
    out = capsys.readouterr().out
    assert "stage: vision_sft\n" in out
    assert "manifest: demo_vision_sft\n" in out
    assert trained == []


@pytest.mark.parametrize(
    ("line", "completion"),
    [("stage=lm_", "stage=lm_pretrain stage=lm_sft"), ("hardware=c", ""), ("sca", "scale=")],
)
def test_the_shell_completes_stages(
    line: str, completion: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", f"phi4train {line}")
    monkeypatch.setattr(sys, "argv", ["phi4train"])
    assert main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr().out.strip() == completion


def test_one_mistake_is_one_line_and_several_are_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stage=lm_stf"]) == 2
    assert main(["stage=lm_sft", "lr=1", "seed=x"]) == 2
    assert capsys.readouterr().err == (
        "error: stage must be an option of its group · found 'lm_stf' (did you mean 'lm_sft'?) · "
        "correct the name\n"
        "2 errors:\n"
        "  - lr must be a key of the configuration · found no such key · did you mean optimizer.lr?\n"
        "  - seed must be a whole number · found 'x' · correct the value\n"
    )


def test_what_hydra_refuses_is_a_users_error_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "mine.yaml").write_text("# @package _global_\ndefaults: [nowhere]\n")
    assert main(["stage=mine", "--config-dir", str(tmp_path)]) == 2
    assert "Could not load 'stage/nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["curiculum"], ["lm_sft"]])
def test_an_unknown_verb_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "the first word must be a verb or stage=<name> · found" in capsys.readouterr().err


@pytest.mark.parametrize(("error", "code"), [(CheckpointError("gone"), 2), (StageInterrupted("later"), 75)])
def test_an_error_gives_its_exit_code_and_no_traceback(
    error: Exception, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(config: Config, console: object) -> None:
        raise error

    monkeypatch.setitem(sys.modules, "phi4train.training.stage", SimpleNamespace(train_stage=fail))
    assert main(["stage=lm_sft"]) == code
    assert capsys.readouterr().err == f"error: {error}\n"
    with pytest.raises(type(error)):
        main(["stage=lm_sft", "--debug"])


def test_a_disk_that_fails_is_the_users_to_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("not a folder")
    arguments = ["stage=lm_sft", "scale=demo", f"run.root={tmp_path}/file/x"]
    assert main(arguments) == 2
    err = capsys.readouterr().err
    place = f"{tmp_path}/file/x/lm_sft/demo"
    assert err.startswith(f"error: {place} must lead through folders only · found Not a directory · correct")
    with pytest.raises(NotADirectoryError):
        main([*arguments, "--debug"])


def test_ctrl_c_exits_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(config: Config, console: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "phi4train.training.stage", SimpleNamespace(train_stage=interrupt))
    assert main(["stage=lm_sft"]) == 130


def test_mistakes_that_all_stages_of_a_curriculum_share_are_told_once(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["curriculum", "scale=demo", "seed=x", "model.vision.num_layers=0"]) == 2
    assert capsys.readouterr().err.startswith(
        "2 errors:\n  - seed must be a whole number · found 'x' · correct the value\n  - model."
    )


@pytest.mark.parametrize(
    "arguments",
    [
        *(["curriculum"], ["evaluate"], ["lineage"], ["data"]),
        *(["data", verb] for verb in ("build", "index", "check", "stats", "show")),
    ],
)
def test_every_verb_has_help_with_an_example(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--help"])
    assert caught.value.code == 0
    assert f"example:\n  phi4train {' '.join(arguments)} " in capsys.readouterr().out


def test_a_manifest_that_no_recipe_uses_needs_a_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(MANIFEST)
    assert main(["data", "index", str(path)]) == 2
    assert f"found none that uses '{path}' · add stage=<name> and scale=<name>" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["index", "check", "stats", "show"])
def test_a_misspelt_manifest_is_told_with_the_nearest(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", verb, "demo_vison_sft"]) == 2
    assert "found no 'demo_vison_sft' (did you mean 'demo_vision_sft'?)" in capsys.readouterr().err


def test_data_verbs_find_manifests_of_a_users_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data_manifests").mkdir()
    (tmp_path / "data_manifests" / "mine.yaml").write_text(MANIFEST)
    arguments = ["mine", "stage=lm_sft", "--config-dir", str(tmp_path), f"run.data_root={tmp_path}"]
    assert main(["data", "index", *arguments]) == 2
    assert "manifest mine, source a: every shard must exist" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["stage=lm_sft"],
        ["curriculum", "scale=demo"],
        ["evaluate", "stage=lm_sft"],
        *(["data", verb, "demo_lm_sft"] for verb in ("index", "check", "stats", "show")),
    ],
    ids=" ".join,
)
def test_a_users_folder_that_is_missing_is_refused_by_every_verb(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, "--config-dir", "nowhere"]) == 2
    assert capsys.readouterr().err == (
        "error: --config-dir must be a folder of yours · found none at nowhere · check the path\n"
    )


@pytest.mark.parametrize(
    ("word", "problem"),
    [
        ("stage=lm_sft", "a curriculum must choose its own stages · found 'stage=lm_sft' · train"),
        ("demo", "choose a scale with scale=demo, a curriculum with --name demo"),
    ],
)
def test_a_curriculum_takes_no_stage_and_no_bare_word(
    word: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["curriculum", word]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["data", "check", "demo_vision_sft"],
        ["data", "index", "demo_vision_sft"],
        ["stage=lm_pretrain", "scale=demo"],
        ["curriculum", "scale=demo"],
    ],
    ids=" ".join,
)
def test_on_a_fresh_clone_the_command_that_builds_the_data_is_named(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    assert "run `phi4train data build demo`" in capsys.readouterr().err
    assert main([*arguments, "run.data_root=my data"]) == 2
    assert "run `phi4train data build demo --data-root 'my data'`" in capsys.readouterr().err


def test_an_error_shows_escapes_instead_of_obeying_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["\x1b[2Jtrain"]) == 2
    assert "\x1b" not in (told := capsys.readouterr().err) and r"\x1b[2Jtrain" in told


def test_output_that_takes_ascii_alone_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    monkeypatch.setattr("sys.stderr", stream)
    assert main(["übung"]) == 2
    assert rb"found '\xfcbung'" in stream.buffer.getvalue()  # type: ignore[attr-defined]
