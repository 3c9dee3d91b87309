"""One stage on a little text, trained in a second: what tests of stops, kills and extensions start from."""

import json
import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from phi4train.checkpoint.store import read_tensors
from phi4train.config.load import load_config
from phi4train.config.schema import Config
from phi4train.data.samples.tokenizer import train_bpe
from phi4train.data.shards.manifest import load_manifest
from phi4train.data.shards.mixture import index_manifest
from phi4train.data.shards.writer import ShardWriter
from tests.unit.data.small_shards import question, words, write_texts

TIMES = ("wait_seconds", "step_seconds", "_per_second", "peak_bytes")
"""In the names of metrics that no two runs share."""


@dataclass(frozen=True)
class TinyStage:
    """A folder with texts, held-out questions with answers, and runs of `lm_pretrain` on them."""

    root: Path

    def words(self, *more: str) -> list[str]:
        """The command's words: six steps, a checkpoint every two, an evaluation every three."""
        return [
            *("stage=lm_pretrain", "scale=demo", "hardware.device=cpu", "tokenizer=tokenizer.json"),
            *(f"run.root={self.root}/runs", f"run.data_root={self.root}"),
            *(f"data.manifest={self.root}/train.yaml", f"evaluation.manifest={self.root}/held_out.yaml"),
            *("budget.tokens=null", "budget.max_steps=6", "schedule.warmup_steps=1"),
            *("budget.global_batch_tokens=256", "data.context_tokens=128", "hardware.micro_batch_tokens=256"),
            *("model.language_model.num_layers=1", "hardware.num_threads=1", "logger.every_n_steps=1"),
            *("evaluation.every_n_steps=3", "checkpoint.every_n_steps=2", "evaluation.baseline_samples=4"),
            "evaluation.max_new_tokens=8",
            *more,
        ]

    def config(self, *more: str) -> Config:
        """Its configuration."""
        return load_config(self.words(*more))

    def run(self, name: str) -> Path:
        """The folder of a run."""
        return self.root / "runs" / "lm_pretrain" / name

    def start(self, *more: str, environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """The command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "phi4train", *self.words(*more)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environment or {})},
        )


def build_tiny_stage(root: Path) -> TinyStage:
    """Writes and indexes its data."""
    root.mkdir(exist_ok=True)
    tokenizer = train_bpe([words(random.Random(0), 2000)], 384, root / "tokenizer.json")
    write_texts(root, 60)
    rng = random.Random(1)
    with ShardWriter(root / "chat", 16_000) as writer:
        for number in range(6):
            writer.write(f"c{number:04d}", question(rng, image=None))
    for name, source in (("train", "text"), ("held_out", "chat")):
        path = root / f"{name}.yaml"
        path.write_text(
            f"name: {name}\ndescription: d\nweight_by: samples\nsources:\n"
            f'  - {{name: {source}, shards: ["{source}-*.tar"], weight: 1, licence: CC0}}\n'
        )
        index_manifest(load_manifest(str(path), []), root, root / ".cache", tokenizer)
    return TinyStage(root)


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSONL file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def left_by(run: Path) -> dict[str, Any]:
    """All that a finished run has left and that two equal runs share: metrics, results, weights."""
    metrics = [
        {k: v for k, v in line.items() if not k.endswith(TIMES)} for line in lines(run / "metrics.jsonl")
    ]
    evaluations = lines(run / "evaluations.jsonl")
    tensors = read_tensors(run / "artifact", "language_model")
    lineage = json.loads((run / "artifact" / "lineage.json").read_text())
    return {
        "metrics": metrics,
        "evaluations": evaluations,
        "evaluation": (run / "evaluation.json").read_text(),
        "answers": (run / "answers.jsonl").read_text(),
        "identity": lineage["identity"],
        "results": lineage["results"],
        "weights": {name: tensor.view(torch.uint8).tolist() for name, tensor in tensors.items()},
    }
