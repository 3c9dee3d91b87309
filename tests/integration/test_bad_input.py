"""Every bad input through the real command: a message to mend it by, or a counted skip; nothing half-done."""

import io
import json
import re
import shlex
import struct
import subprocess
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from phi4train.checkpoint import store
from phi4train.cli.main import main
from phi4train.data.shards.writer import ShardWriter
from phi4train.training.watching import metrics
from tests.stage_workspace import Workspace

Sample = tuple[Mapping[str, Any], Mapping[str, bytes]]


def png(width: int = 48, height: int = 48) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (200, 40, 90)).save(stream, "PNG")
    return stream.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A small file whose header promises a large image."""
    content = bytearray(png())
    content[16:24] = struct.pack(">II", width, height)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    return bytes(content)


def question(image: bytes, text: str = "What colour?", answer: str | None = "red") -> Sample:
    content = [{"type": "image", "image": "0.png"}, {"type": "text", "text": text}]
    turns: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if answer is not None:
        turns.append({"role": "assistant", "content": answer})
    return {"messages": turns, "task": "vqa"}, {"0.png": image}


GOOD = question(png())


class Bench:
    """Data of one's own, and a stage with a parent that trains on them in a second."""

    def __init__(self, trained: Workspace, folder: Path) -> None:
        self.folder = folder
        self.shard = folder / "own-000000.tar"
        self.manifest = folder / "own.yaml"
        self.manifest.write_text(
            "name: own\ndescription: d\n"
            f"sources: [{{name: own, shards: ['{self.shard}'], weight: 1, licence: CC0}}]\n"
        )
        self.arguments = [
            *("stage=vision_align", *trained.overrides, f"run.root={folder}/runs", "run.name=own"),
            f"run.parents.lm_sft={trained.runs}/lm_sft/demo/artifact",
            *(f"data.manifest={self.manifest}", "evaluation.manifest=null", "schedule.warmup_steps=0"),
            *("budget.global_batch_tokens=null", "budget.global_batch_samples=5"),
        ]
        self.run = folder / "runs" / "vision_align" / "own"

    def write(self, *samples: Sample) -> None:
        """Writes and indexes the shard, each sample several times."""
        with ShardWriter(self.folder / "own") as writer:
            for number, (record, media) in enumerate(samples * 5):
                writer.write(f"{number:04d}", record, media)
        assert self.index() == 0

    def index(self) -> int:
        return main(["data", "index", *self.arguments])

    def train(self, *more: str) -> int:
        return main([*self.arguments, *more])

    def is_clean(self) -> bool:
        """Whether nothing half-written is left, and no artifact."""
        return not [*self.folder.rglob("*.tmp-*"), *self.folder.rglob("artifact")]


@pytest.fixture
def bench(trained: Workspace, tmp_path: Path) -> Bench:
    return Bench(trained, tmp_path)


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """The last error message, on a line, which must follow the grammar: no traceback, and what to do."""

    def read() -> str:
        message = capsys.readouterr().err
        assert message.startswith("error: ") and "Traceback" not in message
        return " ".join(message.split())

    return read


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stage=vison_sft", "found 'vison_sft' (did you mean 'vision_sft'?)"),
        ("optimizer.lrr=1", "optimizer.lrr must be a key of the configuration · found no such key"),
        ("trainable=[lora.vison]", "found 'lora.vison' (did you mean 'lora.vision'?)"),
        ("data.manifest=demo_lm_stf", "found no 'demo_lm_stf' (did you mean 'demo_lm_sft'?)"),
    ],
)  # fmt: skip
def test_a_name_that_does_not_exist(
    override: str, message: str, bench: Bench, told: Callable[[], str]
) -> None:
    assert bench.train(override) == 2
    assert message in told()
    assert not bench.run.exists()


def test_a_parent_that_is_missing(bench: Bench, told: Callable[[], str]) -> None:
    bench.write(GOOD)
    assert bench.train("run.parents.lm_sft=/nowhere/lm_sft/x/artifact") == 2
    assert "stage=lm_sft scale=demo run.root=/nowhere run.name=x" in told()
    assert bench.is_clean()


def test_a_parent_of_another_model_size(bench: Bench, told: Callable[[], str]) -> None:
    bench.write(GOOD)
    assert bench.train("model.language_model.intermediate_dim=256") == 2
    assert "another shape: layers.0.mlp.gate_up_proj.weight" in told()
    assert bench.is_clean()


def test_a_shard_that_is_missing(bench: Bench, told: Callable[[], str]) -> None:
    assert bench.train() == 2
    assert f"found no {bench.shard} · check the paths" in told()
    assert bench.is_clean()


def test_a_shard_that_was_not_indexed(bench: Bench, told: Callable[[], str]) -> None:
    with ShardWriter(bench.folder / "own") as writer:
        writer.write("a", *GOOD)
    assert bench.train() == 2
    message = told()
    assert f"run `phi4train data index {bench.manifest} stage=vision_align scale=demo tokenizer=" in message
    assert bench.is_clean()
    (command,) = re.findall("run `phi4train (.*?)`", message)
    assert main(shlex.split(command)) == 0
    assert bench.train() == 0


def test_a_shard_that_is_truncated(bench: Bench, told: Callable[[], str]) -> None:
    bench.write(GOOD)
    bench.shard.write_bytes(bench.shard.read_bytes()[:1000])
    assert bench.train() == 2
    assert f"shard {bench.shard} must have an index with shard_bytes 1000 · found" in told()
    assert bench.index() == 2
    assert f"shard {bench.shard} must be a complete tar" in told()
    assert bench.is_clean()


def test_a_shard_with_a_hostile_member(bench: Bench, told: Callable[[], str]) -> None:
    with tarfile.open(bench.shard, "w") as archive:
        archive.addfile(tarfile.TarInfo("../../etc/x.json"))
    assert bench.index() == 2
    assert "'../../etc/x.json': its name is absolute or has '..'" in told()
    assert bench.is_clean()


SKIPPED = {
    "broken_image": question(png()[:60] + bytes(200)),
    "image_too_large": question(png_that_claims(20_000, 20_000)),
    "longer_than_context": question(png(), text="many words " * 600),
    "no_targets": question(png(), answer=None),
}


@pytest.mark.parametrize("cause", SKIPPED)
def test_a_sample_that_cannot_be_used_is_counted(cause: str, bench: Bench, told: Callable[[], str]) -> None:
    bench.write(GOOD, SKIPPED[cause])
    assert bench.train("data.max_bad_fraction=1") == 0
    lines = [json.loads(line) for line in (bench.run / "skipped.jsonl").read_text().splitlines()]
    assert {line["cause"] for line in lines} == {cause}
    assert all(line["key"].startswith(f"{bench.shard}/") for line in lines)
    assert (bench.run / "artifact" / "lineage.json").is_file()


def test_too_many_samples_that_cannot_be_used(bench: Bench, told: Callable[[], str]) -> None:
    bench.write(GOOD, SKIPPED["broken_image"])
    assert bench.train("data.max_bad_fraction=0.3") == 2
    assert "at most data.max_bad_fraction=0.3 of the samples may be unusable" in told()
    assert bench.is_clean()


def test_a_loss_that_is_not_a_number(bench: Bench, told: Callable[[], str]) -> None:
    bench.write(GOOD)
    huge = ["optimizer.lr=1e30", "optimizer.gradient_clip_val=0", "budget.max_steps=8"]
    assert bench.train(*huge, "safety.max_bad_steps=2") == 2
    assert "2 steps in a row" in told()
    assert bench.is_clean()


def test_weights_whose_last_steps_were_not_finite_are_neither_saved_nor_published(
    bench: Bench, told: Callable[[], str]
) -> None:
    bench.write(GOOD)
    arguments = ["optimizer.lr=1e38", "schedule.kind=constant", "checkpoint.every_n_steps=1"]
    assert bench.train(*arguments, "budget.max_steps=4") == 2
    message = told()
    assert "must" in message and "finite" in message
    assert message.count("no checkpoint was saved before") + message.count("the last good checkpoint is") == 1
    steps = [int(path.name[-8:]) for path in (bench.run / "checkpoints").glob("step=*")]
    assert max(steps, default=0) <= 1
    assert bench.is_clean()


def full(*_: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(("module", "name"), [(store, "save_file"), (metrics, "append_line")])
def test_a_disk_that_is_full(
    module: object, name: str, bench: Bench, told: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.write(GOOD)
    monkeypatch.setattr(module, name, full)
    assert bench.train() == 2
    message = told()
    assert "No space left on device" in message and "checkpoints are untouched" in message
    assert bench.is_clean()


def test_a_folder_of_runs_that_cannot_be_made(bench: Bench, told: Callable[[], str]) -> None:
    assert bench.train("run.root=/proc/nowhere") == 2
    assert "/proc/nowhere" in (message := told()) and "start again" in message


def test_settings_that_changed_before_a_resume(bench: Bench, told: Callable[[], str]) -> None:
    bench.write(GOOD)
    assert bench.train() == 0
    (bench.run / "artifact").rename(bench.folder / "taken")
    assert bench.train("seed=7") == 2
    assert "seed: 0 -> 7" in told()
    assert bench.is_clean()


def test_a_process_says_it_too(command: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = command("stage=vision_sft", "scale=demo")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "error: stage `vision_sft` must start from the artifact of `vision_pretrain`"
    )
    assert "Traceback" not in done.stderr
