"""Our training loop against a bare torch loop: same model, same pre-built batches, fused AdamW on both sides.

    python benchmarks/training_step.py --scale demo
    python benchmarks/training_step.py --scale 25m

The sides take turns in one process; the ratio is that of the medians over all steps but each turn's first.
"""

import argparse
import copy
import statistics
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import torch

from phi4train.batch import Batch
from phi4train.config.load import load_config
from phi4train.config.schema import HardwareConfig, ScheduleKind
from phi4train.data.batches.loader import StepBatch
from phi4train.model.components import build_model
from phi4train.model.ownership import Ownership
from phi4train.model.phi4 import Phi4Model
from phi4train.objectives.next_token import linear_cross_entropy
from phi4train.ranks import OneRank
from phi4train.run.run_folder import RunFolder
from phi4train.run.schedule import Schedule
from phi4train.run.torch_setup import prepare_torch
from phi4train.training.fitting import fit
from phi4train.training.freezing import freeze_all_but
from phi4train.training.gradients.exact import ExactGradients
from phi4train.training.losses.loss import WeightedLoss
from phi4train.training.losses.next_token import NextToken
from phi4train.training.micro_batch import MicroBatchLoss
from phi4train.training.module import StageModule
from phi4train.training.optimizer import AdamWSettings
from phi4train.training.watching.loader_clock import LoaderClock
from phi4train.training.watching.metrics import MetricsWriter
from phi4train.training.watching.progress import Progress
from phi4train.training.watching.sample_guard import SampleGuard

LANGUAGE_MODEL = ("language_model",)
SETTINGS = AdamWSettings(beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.1, lr_multipliers={})
SCHEDULE = Schedule(1e-4, 10_000, ScheduleKind.constant, 0, 0.0, 0.0)


def build_batches(vocab_size: int, tokens: int, length: int, count: int) -> list[StepBatch]:
    generator = torch.Generator().manual_seed(0)
    batches = []
    for step in range(count):
        lengths = (length,) * (tokens // length)
        ids_T = torch.randint(0, vocab_size, (sum(lengths),), generator=generator)
        position_ids_T = torch.arange(length).repeat(len(lengths))
        names = ("text",) * len(lengths)
        keys = tuple(f"synthetic/{step}-{i}" for i in range(len(lengths)))
        batch = Batch(ids_T, position_ids_T, ids_T.roll(-1), lengths, names, names, keys)
        batches.append(StepBatch(step, [batch], [0], [], num_drawn=len(lengths)))
    return batches


class StepClock(L.Callback):
    """Notes the time between the starts of steps, so that all of the loop's work between them counts."""

    def __init__(self) -> None:
        self.starts: list[float] = []

    def on_train_batch_start(self, *arguments: Any) -> None:
        """A step begins."""
        self.starts.append(time.perf_counter())

    def on_train_end(self, *arguments: Any) -> None:
        """The last step is over."""
        self.starts.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Of every step but the first."""
        return [end - start for start, end in zip(self.starts, self.starts[1:], strict=False)][1:]


def run_ours(module: StageModule, batches: list[StepBatch], folder: Path) -> list[float]:
    progress, clock = Progress(), StepClock()
    module.next_step = 0
    loader = LoaderClock(batches, OneRank())  # type: ignore[arg-type]
    run = RunFolder(folder)
    observers = [
        clock,
        SampleGuard(run, progress, 0.01, 100),
        MetricsWriter(run, progress, loader, 10, []),
    ]
    fit(module, loader, HardwareConfig(), observers, folder)
    return clock.seconds()


def run_bare(model: Phi4Model, optimizer: torch.optim.AdamW, batches: list[StepBatch]) -> list[float]:
    parameters = list(model.parameters())
    seconds = []
    for step in batches:
        started = time.perf_counter()
        (batch,) = step.micro_batches
        optimizer.zero_grad(set_to_none=True)
        loss_sum, _ = linear_cross_entropy(model(batch), model.head_weight, batch.labels_T)
        (loss_sum / batch.num_targets).backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        loss_sum.item()
        seconds.append(time.perf_counter() - started)
    return seconds[1:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scale", default="demo", help="size of the language model (demo, 10m, 25m, ...)")
    parser.add_argument("--tokens", type=int, default=2048, help="tokens of a step")
    parser.add_argument("--length", type=int, default=256, help="tokens of a sample")
    parser.add_argument("--steps", type=int, default=11, help="steps of a turn; the first is not counted")
    parser.add_argument("--turns", type=int, default=4, help="turns of each side")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    shape = load_config(["stage=lm_pretrain", f"scale={options.scale}"]).model
    prepare_torch(HardwareConfig(), seed=0)
    model = build_model(shape, LANGUAGE_MODEL, seed=0)
    owned = Ownership(model)
    freeze_all_but(owned, LANGUAGE_MODEL)
    bare = copy.deepcopy(model)
    optimizer = torch.optim.AdamW(bare.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    micro_batch = MicroBatchLoss(model, [WeightedLoss(NextToken(), 1.0)])
    gradients = ExactGradients(micro_batch, owned.named_parameters(LANGUAGE_MODEL), SETTINGS, OneRank())
    module = StageModule(micro_batch, gradients, OneRank(), SCHEDULE, 1.0, 3, 0, 0)
    batches = build_batches(shape.language_model.vocab_size, options.tokens, options.length, options.steps)
    ours: list[float] = []
    floor: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.turns):
            ours += run_ours(module, batches, Path(folder))
            floor += run_bare(bare, optimizer, batches)
    a, b = statistics.median(ours), statistics.median(floor)
    size = shape.language_model.num_parameters
    print(f"{options.scale}: {size:,} parameters, {options.tokens} tokens a step, {len(ours)} steps each")
    print(f"ours {1e3 * a:8.1f} ms   (min {1e3 * min(ours):.1f})   {options.tokens / a:,.0f} tokens/s")
    print(f"bare {1e3 * b:8.1f} ms   (min {1e3 * min(floor):.1f})   {options.tokens / b:,.0f} tokens/s")
    print(f"ratio of medians {a / b:.3f}   of minima {min(ours) / min(floor):.3f}   (target <= 1.05)")


if __name__ == "__main__":
    main()
