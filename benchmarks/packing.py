"""Packed training of short chats against the same bare loop on padded batches: real tokens per CPU-second.

    python benchmarks/packing.py

Both sides see the same dialogues in the same order, the same number a step, the same model and fused AdamW.
The padded side lays every dialogue out to the longest of its step; padding carries no label. Lengths are
log-normal, as those of short chats are. The sides take turns; CPU time of the whole process is what counts.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence

import torch

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.config.load import load_config
from phi4train.model.components import build_model
from phi4train.model.phi4 import Phi4Model
from phi4train.objectives.next_token import linear_cross_entropy

Sample = torch.Tensor


def draw_samples(count: int, vocab_size: int, median: float, sigma: float, longest: int) -> list[Sample]:
    generator = torch.Generator().manual_seed(0)
    lengths = torch.empty(count).log_normal_(torch.tensor(median).log().item(), sigma, generator=generator)
    return [
        torch.randint(0, vocab_size, (min(longest, max(4, int(length))),), generator=generator)
        for length in lengths
    ]


def packed(samples: Sequence[Sample]) -> Batch:
    return _batch(list(samples), [len(ids) for ids in samples])


def padded(samples: Sequence[Sample]) -> Batch:
    longest = max(len(ids) for ids in samples)
    return _batch(
        [torch.nn.functional.pad(ids, (0, longest - len(ids))) for ids in samples],
        [len(ids) for ids in samples],
    )


def _batch(rows: list[Sample], real: list[int]) -> Batch:
    labels = []
    for ids, length in zip(rows, real, strict=True):
        row = torch.full_like(ids, IGNORE_INDEX)
        row[: length - 1] = ids[1:length]
        labels.append(row)
    names = ("text",) * len(rows)
    return Batch(
        input_ids_T=torch.cat(rows),
        position_ids_T=torch.cat([torch.arange(len(ids)) for ids in rows]),
        labels_T=torch.cat(labels),
        sample_lengths=tuple(len(ids) for ids in rows),
        modes=names,
        tasks=names,
        keys=names,
    )


def cpu_seconds(
    model: Phi4Model,
    optimizer: torch.optim.AdamW,
    steps: Sequence[Sequence[Sample]],
    lay_out: Callable[[Sequence[Sample]], Batch],
) -> float:
    started = time.process_time()
    for samples in steps:
        batch = lay_out(samples)
        optimizer.zero_grad(set_to_none=True)
        loss_sum, _ = linear_cross_entropy(model(batch), model.head_weight, batch.labels_T)
        (loss_sum / batch.num_targets).backward()
        optimizer.step()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scale", default="demo", help="size of the language model")
    parser.add_argument("--samples", type=int, default=32, help="dialogues of a step")
    parser.add_argument("--steps", type=int, default=4, help="steps of a turn")
    parser.add_argument("--turns", type=int, default=4, help="turns of each side")
    parser.add_argument("--median", type=float, default=60, help="median length in tokens")
    parser.add_argument("--sigma", type=float, default=0.8, help="standard deviation of the log length")
    options = parser.parse_args()
    shape = load_config(["stage=lm_sft", f"scale={options.scale}"]).model
    model = build_model(shape, ("language_model",), seed=0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    vocab_size = shape.language_model.vocab_size
    samples = draw_samples(options.samples * options.steps, vocab_size, options.median, options.sigma, 512)
    steps = [samples[i :: options.steps] for i in range(options.steps)]
    real = sum(len(ids) for ids in samples)
    longest = sum(max(len(ids) for ids in step) * len(step) for step in steps)
    cpu_seconds(model, optimizer, steps[:1], packed)
    cpu_seconds(model, optimizer, steps[:1], padded)
    sides: dict[str, list[float]] = {"packed": [], "padded": []}
    for _ in range(options.turns):
        sides["packed"].append(real / cpu_seconds(model, optimizer, steps, packed))
        sides["padded"].append(real / cpu_seconds(model, optimizer, steps, padded))
    print(f"{len(samples)} dialogues, {real:,} real tokens, {longest:,} when padded ({longest / real:.2f}x)")
    for name, rates in sides.items():
        print(f"{name}: {statistics.median(rates):,.0f} real tokens per CPU-second")
    ratio = statistics.median(sides["packed"]) / statistics.median(sides["padded"])
    print(f"ratio {ratio:.2f}   (target >= 2)")


if __name__ == "__main__":
    main()
