"""Packed batches of several modes against the same samples in batches of one mode each: forward and backward.

    python benchmarks/mixed_batch.py
    python benchmarks/mixed_batch.py --frozen                           # the language model does not learn
    python benchmarks/mixed_batch.py --frozen --modes vision speech vision_speech

Both sides have as many batches of about as many tokens. With a frozen language model a batch of text alone
has no backward pass, while text in a mixed batch takes part in it; without text both sides do the same work.
The sides take turns and change who begins; CPU time of the whole process is what counts.
"""

import argparse
import statistics
import time
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import torch

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.config.load import load_config
from phi4train.data.batches.collate import collate
from phi4train.data.batches.encoding import DecodedSample
from phi4train.data.media.images import ImageGeometry, ProcessedImage
from phi4train.data.samples.prompts import EncodedSample, MediaSlot
from phi4train.data.samples.records import MediaPart, Message, Sample, TextPart
from phi4train.model.audio_encoder import num_audio_tokens
from phi4train.model.component_names import COMPONENT_NAMES, LANGUAGE_MODEL
from phi4train.model.components import build_model, parameters_of
from phi4train.model.phi4 import Phi4Model
from phi4train.model.shapes import AudioShape, LoraShape, ModelShape, VisionShape
from phi4train.objectives.next_token import linear_cross_entropy

MODES = ("text", "vision", "speech", "vision_speech")
AUDIO = AudioShape(hidden_dim=128, intermediate_dim=192, num_layers=4, num_heads=4, subsampling_channels=32)
VISION = VisionShape(96, 256, num_layers=5, num_heads=4, crop_size=48, patch_size=8)
WORDS, NUM_TARGETS = (48, 112), 24


def draw_sample(mode: str, number: int, shape: ModelShape) -> DecodedSample:
    """Random words around an image of 2 x 2 crops and a clip of 3 to 6 seconds, where the mode has them."""
    random, generator = Random(f"{mode}/{number}"), torch.Generator().manual_seed(number)
    slots: list[MediaSlot] = []
    media: list[object] = []
    position = 4
    if "vision" in mode:
        grid = (2, 2)
        length = ImageGeometry(shape.vision.crop_size, shape.vision.patch_size, 4).num_image_tokens(96, 96)
        side = shape.vision.crop_size // shape.vision.patch_size
        crops = torch.randn(5, 3, shape.vision.crop_size, shape.vision.crop_size, generator=generator)
        media.append(ProcessedImage(crops, torch.ones(5, side, side, dtype=torch.bool), grid))
        slots.append(MediaSlot(MediaPart("image", "0.png"), position, length))
        position += length
    if "speech" in mode:
        frames = random.randint(300, 600)
        media.append(torch.randn(frames, shape.audio.num_mels, generator=generator))
        slots.append(MediaSlot(MediaPart("audio", "0.wav"), position, num_audio_tokens(frames)))
        position += num_audio_tokens(frames)
    num_tokens = position + random.randint(*WORDS) + (80 if mode == "text" else 0)
    ids = torch.randint(0, shape.language_model.vocab_size, (num_tokens,), generator=generator).numpy()
    labels = np.full(num_tokens, IGNORE_INDEX)
    labels[-NUM_TARGETS:] = ids[-NUM_TARGETS:]
    turn = Message("user", (*(slot.part for slot in slots), TextPart("")))
    encoded = EncodedSample(ids.astype(np.int32), labels.astype(np.int32), tuple(slots))
    return DecodedSample(f"{mode}/{number}", Sample(key=mode, messages=(turn,)), (encoded,), tuple(media))


def build_sides(modes: Sequence[str], tokens: int, shape: ModelShape) -> dict[str, list[Batch]]:
    """As many mixed batches as single ones, of the same samples."""
    by_mode: dict[str, list[DecodedSample]] = {}
    for mode in modes:
        samples = by_mode[mode] = []
        while sum(sample.num_tokens for sample in samples) < tokens:
            samples.append(draw_sample(mode, len(samples), shape))
    shares = [
        [s for samples in by_mode.values() for s in samples[i :: len(modes)]] for i in range(len(modes))
    ]
    return {
        "mixed": [collate(share) for share in shares],
        "single": [collate(samples) for samples in by_mode.values()],
    }


def cpu_seconds(model: Phi4Model, batches: Sequence[Batch]) -> float:
    model.zero_grad(set_to_none=True)
    started = time.process_time()
    for batch in batches:
        loss_sum, _ = linear_cross_entropy(model(batch), model.head_weight, batch.labels_T)
        if loss_sum.requires_grad:
            (loss_sum / batch.num_targets).backward()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scale", default="demo", help="size of the language model (demo, 10m, 25m, ...)")
    parser.add_argument("--tokens", type=int, default=2048, help="tokens of a batch, about")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--frozen", action="store_true", help="the language model does not learn")
    parser.add_argument("--routing", choices=("sample", "token"), default="sample")
    parser.add_argument("--rounds", type=int, default=12, help="rounds over all batches of each side")
    options = parser.parse_args()
    shape = load_config(["stage=lm_sft", f"scale={options.scale}"]).model
    lora = {"vision": LoraShape(16, 32), "speech": LoraShape(16, 32)}
    shape = replace(shape, vision=VISION, audio=AUDIO, lora=lora)
    model = build_model(shape, COMPONENT_NAMES, seed=0, routing_rule=options.routing)
    if options.frozen:
        for parameter in parameters_of(model, LANGUAGE_MODEL).values():
            parameter.requires_grad_(False)
    sides = build_sides(options.modes, options.tokens, shape)
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for step in range(options.rounds + 1):
        for name in sorted(sides, reverse=bool(step % 2)):
            seconds[name].append(cpu_seconds(model, sides[name]))
    best = {name: min(values[1:]) for name, values in seconds.items()}
    median = {name: statistics.median(values[1:]) for name, values in seconds.items()}
    trained = "frozen" if options.frozen else "trained"
    print(
        f"{options.scale}, {trained} language model, routing by {options.routing}: {', '.join(options.modes)}"
    )
    for name, batches in sides.items():
        tokens = ", ".join(str(len(batch.input_ids_T)) for batch in batches)
        print(
            f"{name:6} {1e3 * median[name]:8.1f} ms of CPU   (min {1e3 * best[name]:.1f})   tokens {tokens}"
        )
    ratios = [values["mixed"] / values["single"] for values in (median, best)]
    print(f"ratio of medians {ratios[0]:.3f}   of minima {ratios[1]:.3f}   (target <= 1.10)")


if __name__ == "__main__":
    main()
