"""Writers of small real shards for the data engine's tests."""

import io
import random
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from phi4train.data.media.images import ImageGeometry
from phi4train.data.media.limits import Limits
from phi4train.data.shards.manifest import Manifest, load_manifest
from phi4train.data.shards.writer import ShardWriter

WORDS = (
    "the",
    "a",
    "of",
    "cat",
    "dog",
    "runs",
    "in",
    "is",
    "was",
    "hello",
    "world",
    "this",
    "red",
    "12",
    "7",
)
GEOMETRY = ImageGeometry(crop_size=56, patch_size=14, max_crops=4)


Member = tuple[str, bytes]
"""Name and content of a file in a tar."""


def limits_of(
    context_tokens: int,
    max_image_pixels: int = 10_000,
    max_audio_seconds: float = 1800.0,
    video_fps: float | None = None,
    max_frames: int = 64,
    num_branches: int = 1,
) -> Limits:
    """Limits of tests; of what a test does not name, its samples have less."""
    return Limits(
        context_tokens, max_image_pixels, GEOMETRY, max_audio_seconds, video_fps, max_frames, num_branches
    )


def words(rng: random.Random, number: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(number))


def png(width: int, height: int, shade: int = 0) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (shade % 256, 40, 90)).save(buffer, "PNG")
    return buffer.getvalue()


def clip(
    frames: int, rate: int = 16_000, channels: int = 1, format: str = "WAV", seed: int = 0, **options: str
) -> bytes:
    """An audio file of noise."""
    values = np.random.default_rng(seed).uniform(-0.5, 0.5, (frames, channels)).astype(np.float32)
    buffer = io.BytesIO()
    soundfile.write(buffer, values, rate, format=format, **options)
    return buffer.getvalue()


def ask(*members: str, text: str = "what") -> dict[str, Any]:
    """A record that asks about these images and clips."""
    kinds = ["audio" if member.endswith((".wav", ".flac", ".ogg", ".mp3")) else "image" for member in members]
    content = [{"type": kind, kind: member} for kind, member in zip(kinds, members, strict=True)]
    content.append({"type": "text", "text": text})
    return {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "dog"}]}


def prefer(*members: str, chosen: str = "the red cat", rejected: str = "a dog") -> dict[str, Any]:
    """A record that asks about these media, with a better and a worse answer."""
    (question, _) = ask(*members)["messages"]
    return {"prompt": [question], "chosen": chosen, "rejected": rejected, "task": "taste"}


def question(rng: random.Random, image: str | None = "0.png") -> dict[str, object]:
    """A record that asks about an image, or about nothing."""
    content: list[dict[str, str]] = [{"type": "text", "text": words(rng, 4)}]
    if image:
        content.insert(0, {"type": "image", "image": image})
    turns = [{"role": "user", "content": content}, {"role": "assistant", "content": words(rng, 3)}]
    return {"messages": turns, "task": "vqa" if image else "chat", "answers": ["yes"]}


def write_texts(root: Path, number: int = 60, seed: int = 0) -> None:
    rng = random.Random(seed)
    with ShardWriter(root / "text", 16_000) as writer:
        for i in range(number):
            writer.write(f"t{i:04d}", {"text": words(rng, rng.randint(2, 90)), "task": "lm"})


def write_questions(root: Path, number: int = 40, seed: int = 1) -> None:
    rng = random.Random(seed)
    with ShardWriter(root / "vision", 16_000) as writer:
        for i in range(number):
            media = {"0.png": png(rng.randint(20, 90), rng.randint(20, 90), i)}
            writer.write(f"v{i:04d}", question(rng), media)


def write_preferences(root: Path, number: int = 12, seed: int = 2) -> None:
    """Preferences, every other one about an image."""
    rng = random.Random(seed)
    with ShardWriter(root / "preference", 16_000) as writer:
        for i in range(number):
            media = {"0.png": png(rng.randint(20, 90), rng.randint(20, 90), i)} if i % 2 else {}
            answers = {name: words(rng, rng.randint(1, 9)) for name in ("chosen", "rejected")}
            writer.write(f"p{i:04d}", prefer(*media, **answers), media)


def write_manifest(root: Path, *sources: str, weight_by: str = "samples", extra: str = "") -> Manifest:
    lines = "\n".join(
        f'  - {{name: {name}, shards: ["{name}-*.tar"], weight: 1, licence: CC0{extra}}}' for name in sources
    )
    path = root / "mixture.yaml"
    path.write_text(f"name: mixture\ndescription: d\nweight_by: {weight_by}\nsources:\n{lines}\n")
    return load_manifest(str(path), [])


def tar(path: Path, *members: Member | tarfile.TarInfo) -> Path:
    """A tar with members of any kind, which ShardWriter would not write."""
    with tarfile.open(path, "w") as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return path
