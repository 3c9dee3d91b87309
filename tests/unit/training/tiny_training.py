from collections.abc import Sequence

import torch

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.data.batches.loader import StepBatch
from phi4train.model.ownership import Ownership
from phi4train.model.phi4 import Phi4Model
from phi4train.model.shapes import LanguageModelShape, LoraShape, ModelShape, RopeShape, VisionShape
from phi4train.ranks import OneRank
from phi4train.run.schedule import Schedule
from phi4train.training.freezing import freeze_all_but
from phi4train.training.gradients.exact import ExactGradients
from phi4train.training.losses.loss import WeightedLoss
from phi4train.training.losses.next_token import NextToken
from phi4train.training.micro_batch import MicroBatchLoss
from phi4train.training.module import StageModule
from phi4train.training.optimizer import AdamWSettings

SHAPE = ModelShape(
    language_model=LanguageModelShape(
        vocab_size=64,
        hidden_dim=32,
        intermediate_dim=64,
        num_layers=2,
        num_heads=4,
        num_kv_heads=2,
        rope=RopeShape(short_factor=[1.0] * 3, long_factor=[1.0] * 3),
    ),
    vision=VisionShape(
        hidden_dim=16, intermediate_dim=32, num_layers=3, num_heads=2, crop_size=16, patch_size=4
    ),
    lora={"vision": LoraShape(4, 8, 0.0)},
)
ADAMW = AdamWSettings(beta1=0.9, beta2=0.95, eps=1e-8, weight_decay=0.0, lr_multipliers={})


def text_batch(lengths: tuple[int, ...], seed: int = 0, task: str = "text") -> Batch:
    """Random tokens, every second position a target."""
    generator = torch.Generator().manual_seed(seed)
    ids_T = torch.randint(0, 64, (sum(lengths),), generator=generator)
    labels_T = torch.randint(0, 64, (sum(lengths),), generator=generator)
    labels_T[::2] = IGNORE_INDEX
    return Batch(
        input_ids_T=ids_T,
        position_ids_T=torch.cat([torch.arange(length) for length in lengths]),
        labels_T=labels_T,
        sample_lengths=lengths,
        modes=("text",) * len(lengths),
        tasks=tuple(f"{task}{i % 2}" for i in range(len(lengths))),
        keys=tuple(f"shard/{i}" for i in range(len(lengths))),
    )


def sample_of(batch: Batch, index: int) -> Batch:
    """One text sample of a batch, alone."""
    start = sum(batch.sample_lengths[:index])
    part = slice(start, start + batch.sample_lengths[index])
    return Batch(
        input_ids_T=batch.input_ids_T[part],
        position_ids_T=batch.position_ids_T[part],
        labels_T=batch.labels_T[part],
        sample_lengths=batch.sample_lengths[index : index + 1],
        modes=batch.modes[index : index + 1],
        tasks=batch.tasks[index : index + 1],
        keys=batch.keys[index : index + 1],
    )


def step(*micro_batches: Batch, number: int = 0) -> StepBatch:
    """A global batch without skipped samples."""
    return StepBatch(
        number,
        list(micro_batches),
        [0] * len(micro_batches),
        [],
        num_drawn=sum(len(b.keys) for b in micro_batches),
    )


def build_module(
    model: Phi4Model,
    trainable: Sequence[str],
    settings: AdamWSettings,
    schedule: Schedule,
    clip: float = 1.0,
    max_bad_steps: int = 3,
    auxiliaries: Sequence[WeightedLoss] = (),
) -> StageModule:
    """A module that trains some components for the next token."""
    owned = Ownership(model)
    freeze_all_but(owned, trainable)
    micro_batch = MicroBatchLoss(model, [WeightedLoss(NextToken(), 1.0), *auxiliaries])
    gradients = ExactGradients(micro_batch, owned.named_parameters(trainable), settings, OneRank())
    return StageModule(
        micro_batch,
        gradients,
        OneRank(),
        schedule,
        clip,
        max_bad_steps,
        seed=0,
        start_step=0,
    )


def trainable_of(module: StageModule) -> dict[str, torch.nn.Parameter]:
    """What the module trains, as `<component>/<key>`."""
    optimised = {id(p) for group in module.gradients.optimizer.param_groups for p in group["params"]}
    owned = Ownership(module.model)
    every = owned.named_parameters(owned.components)
    return {name: parameter for name, parameter in every.items() if id(parameter) in optimised}
