"""The command line as a process: what answers at once, from a checkout and from a wheel."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(
    *arguments: str, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "phi4train", *arguments],
        cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def imported(*arguments: str) -> set[str]:
    """Top-level modules that a command imports."""
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "phi4train", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    lines = [line for line in result.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["evaluate", "--help"],
        ["stage=lm_sft", "--cfg", "job"],
        ["stage=lm_stf"],
        ["stage=lm_sft", "optimizer.lrr=1"],
        ["stage=lm_sft", "budget.max_steps=x"],
        ["data", "check", "demo_vison_sft"],
        ["curriculum", "stage=lm_sft"],
    ],
)
def test_help_configuration_and_typos_import_no_heavy_library(arguments: list[str]) -> None:
    assert not imported(*arguments) & {"torch", "lightning", "transformers", "numpy", "rich", "peft"}


def test_help_without_a_stage_but_with_other_words_is_help() -> None:
    result = run("scale=demo", "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert "lm_pretrain" in result.stdout


def test_a_typo_exits_with_2_and_debug_shows_the_traceback() -> None:
    plain, debug = run("stage=lm_stf"), run("stage=lm_stf", "--debug")
    assert plain.returncode == 2
    assert plain.stderr == (
        "error: stage must be an option of its group · found 'lm_stf' (did you mean 'lm_sft'?) · "
        "correct the name\n"
    )
    assert "Traceback" in debug.stderr


def test_info_shows_where_values_come_from() -> None:
    result = run("stage=vision_sft", "scale=demo", "--info", "defaults-tree")
    assert "at_scale: demo/vision_sft" in result.stdout


def test_a_closed_pipe_is_no_error() -> None:
    command = f"{sys.executable} -m phi4train stage=lm_sft --cfg job | head -1"
    result = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in result.stderr


def test_any_working_directory_will_do(tmp_path: Path) -> None:
    result = run("stage=lm_sft", "scale=demo", "--cfg", "job", cwd=tmp_path, env={"PYTHONPATH": str(ROOT)})
    assert result.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_a_wheel_brings_its_own_recipes(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps",
         "--no-build-isolation", "--wheel-dir", str(tmp_path), str(ROOT)],
        check=True, capture_output=True, timeout=120,
    )  # fmt: skip
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    assert (site / "phi4train" / "_bundled" / "recipes" / "stage" / "vision_sft.yaml").is_file()
    marker = site / "phi4train" / "_bundled" / "recipes" / "stage" / "from_wheel.yaml"
    marker.write_text("# @package _global_\ndefaults: [lm_sft]\ndescription: Only in the wheel.\n")
    result = run("stage=from_wheel", "--cfg", "job", cwd=tmp_path, env={"PYTHONPATH": str(site)})
    assert "description: Only in the wheel." in result.stdout, result.stderr
    assert "from_wheel" in run("--help", cwd=tmp_path, env={"PYTHONPATH": str(site)}).stdout
