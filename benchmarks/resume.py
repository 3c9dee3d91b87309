"""Seconds until the first batch after a resume, by how many samples were consumed before.

Run: python benchmarks/resume.py

The index of one real shard of texts is repeated until the source has millions of samples; both starts then
build the loader and take one batch, as a resumed run does. The difference should stay within 0.3 s.
"""

import tempfile
import time
from pathlib import Path

from phi4train.data.batches.loader import DataPlan, build_loader
from phi4train.data.media.images import ImageGeometry
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.tokenizer import Tokenizer, train_bpe
from phi4train.data.shards.manifest import Manifest, Source
from phi4train.data.shards.mixture import Mixture, MixtureSource, index_manifest, open_mixture
from phi4train.data.shards.writer import ShardWriter

NUM_SAMPLES, NUM_SHARDS = 2_000, 2_500
SAMPLES_PER_STEP = 10
CONSUMED_SAMPLES = (10, 1_000_000)
REPEATS = 5
PLAN = DataPlan(
    batch_size=BatchSize(samples=SAMPLES_PER_STEP),
    limits=Limits(
        512,
        10_000,
        ImageGeometry(56, 14, 4),
        max_audio_seconds=60,
        video_fps=None,
        max_frames=8,
        num_branches=1,
    ),
    pack_tokens=512,
    micro_batch_tokens=1024,
    seed=0,
    spec_augment=NO_SPEC_AUGMENT,
)


def synthetic_mixture(folder: Path, tokenizer: Tokenizer) -> Mixture:
    """One indexed shard, as if there were NUM_SHARDS of it."""
    with ShardWriter(folder / "text") as writer:
        for number in range(NUM_SAMPLES):
            writer.write(f"{number:06d}", {"text": "the cat runs " * (1 + number % 40)})
    source = Source("text", (writer.shards[0].name,), 1.0, "CC0")
    manifest = Manifest("resume", "d", "samples", (source,), None, folder, "resume")
    index_manifest(manifest, folder, folder, tokenizer)
    mixture = open_mixture(manifest, folder, folder, tokenizer)
    shards = mixture.shards[0] * NUM_SHARDS
    return Mixture(manifest, (MixtureSource("text", 1.0, shards),), (shards,), mixture.fingerprint)


def seconds_to_first_batch(mixture: Mixture, tokenizer: Tokenizer, folder: Path, step: int) -> float:
    """Builds the loader at `step` and takes its first batch."""
    begin = time.perf_counter()
    batch = next(iter(build_loader(mixture, tokenizer, PLAN, folder, start_step=step, max_steps=step + 1)))
    assert batch.step == step and batch.micro_batches
    return time.perf_counter() - begin


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tokenizer = train_bpe(["the cat runs"], 384, folder / "tokenizer.json")
        mixture = synthetic_mixture(folder, tokenizer)
        print(f"{mixture.sources[0].num_samples:,} samples in {NUM_SHARDS:,} shards, best of {REPEATS}")
        best = {}
        for consumed in CONSUMED_SAMPLES:
            step = consumed // SAMPLES_PER_STEP
            times = [seconds_to_first_batch(mixture, tokenizer, folder, step) for _ in range(REPEATS)]
            best[consumed] = min(times)
            print(f"after {consumed:>9,} samples: first batch in {best[consumed]:.3f} s")
        early, late = best.values()
        print(f"difference {abs(late - early):.3f} s (allowed 0.3)")


if __name__ == "__main__":
    main()
