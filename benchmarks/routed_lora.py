"""Routed LoRA on a batch of one mode against plain peft LoRA: forward and backward of one language model.

    python benchmarks/routed_lora.py
    python benchmarks/routed_lora.py --scale 25m --tokens 1024

The sides take turns, step by step, and change who begins; CPU time of the whole process is what counts.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace

import torch
from peft import inject_adapter_in_model

from phi4train.batch import Batch
from phi4train.config.load import load_config
from phi4train.model.components import build_model
from phi4train.model.lora import RoutedLoraLinear, lora_config
from phi4train.model.phi4 import Phi4Model
from phi4train.model.shapes import LoraShape, ModelShape
from phi4train.objectives.next_token import linear_cross_entropy


def build_routed(shape: ModelShape) -> Phi4Model:
    return only_lora_trains(build_model(shape, ("language_model", "lora.vision", "lora.speech"), seed=0))


def build_plain(shape: ModelShape) -> Phi4Model:
    """The same language model with peft's own layers, which adapt every row."""
    model = build_model(shape, ("language_model",), seed=0)
    inject_adapter_in_model(lora_config(shape.lora["vision"]), model.language_model)
    assert not any(isinstance(module, RoutedLoraLinear) for module in model.modules())
    return only_lora_trains(model)


def only_lora_trains(model: Phi4Model) -> Phi4Model:
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".lora_" in name)
    return model


def build_batch(vocab_size: int, tokens: int, length: int) -> Batch:
    ids = torch.randint(0, vocab_size, (tokens,), generator=torch.Generator().manual_seed(0))
    lengths = (length,) * (tokens // length)
    names = ("vision",) * len(lengths)
    return Batch(ids, torch.arange(length).repeat(len(lengths)), ids.roll(-1), lengths, names, names, names)


def cpu_seconds(model: Phi4Model, batches: Sequence[Batch]) -> float:
    model.zero_grad(set_to_none=True)
    started = time.process_time()
    for batch in batches:
        loss_sum, _ = linear_cross_entropy(model(batch), model.head_weight, batch.labels_T)
        (loss_sum / batch.num_targets).backward()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scale", default="demo", help="size of the language model (demo, 10m, 25m, ...)")
    parser.add_argument("--rank", type=int, default=16, help="rank of the adapter")
    parser.add_argument("--tokens", type=int, default=2048, help="tokens of a step")
    parser.add_argument("--length", type=int, default=256, help="tokens of a sample")
    parser.add_argument("--steps", type=int, default=30, help="steps of each side")
    options = parser.parse_args()
    shape = load_config(["stage=lm_sft", f"scale={options.scale}"]).model
    adapter = LoraShape(options.rank, 2 * options.rank)
    shape = replace(shape, lora={"vision": adapter, "speech": adapter})
    sides = {"routed": build_routed(shape), "peft": build_plain(shape)}
    batch = build_batch(shape.language_model.vocab_size, options.tokens, options.length)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for step in range(options.steps + 1):
        for name in sorted(sides, reverse=bool(step % 2)):
            seconds[name].append(cpu_seconds(sides[name], [batch]))
    best = {name: min(values[1:]) for name, values in seconds.items()}
    median = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    size = shape.language_model.num_parameters
    print(f"{options.scale}: {size:,} parameters, rank {options.rank}, {options.tokens} tokens a step")
    for name in sides:
        print(f"{name:6} {1e3 * median[name]:8.1f} ms of CPU   (min {1e3 * best[name]:.1f})")
    ratios = {name: values["routed"] / values["peft"] for name, values in (("m", median), ("b", best))}
    print(f"ratio of medians {ratios['m']:.3f}   of minima {ratios['b']:.3f}   (target <= 1.03)")


if __name__ == "__main__":
    main()
