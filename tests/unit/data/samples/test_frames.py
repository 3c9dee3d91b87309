"""Videos: which frames are shown, the same from the index as when decoded."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from phi4train.data.batches.decoding import SampleDecoder
from phi4train.data.media.limits import Limits
from phi4train.data.order.lengths import measure_lengths
from phi4train.data.samples.frames import chosen_frames
from phi4train.data.samples.records import VideoPart, parse_sample
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import SampleError
from tests.unit.data.small_shards import GEOMETRY, limits_of, png

LIMITS = limits_of(10_000, video_fps=1.0, max_frames=5)


@pytest.mark.parametrize(
    ("number", "fps", "kept_fps", "max_frames", "expected"),
    [
        (1, 2.0, 1.0, 4, [0]),
        (6, 2.0, None, 64, [0, 1, 2, 3, 4, 5]),
        (6, 2.0, 1.0, 64, [0, 2, 4]),
        (7, 2.0, 1.0, 64, [0, 2, 4, 6]),
        (6, 0.0, 1.0, 64, [0, 1, 2, 3, 4, 5]),
        (6, 1.0, 2.0, 64, [0, 1, 2, 3, 4, 5]),
        (10, 25.0, 10.0, 64, [0, 2, 5, 7]),
        (3, 30.0, 0.01, 64, [0]),
        (8, 1.0, None, 4, [1, 3, 5, 7]),
        (9, 1.0, None, 3, [1, 4, 7]),
        (9, 1.0, None, 1, [4]),
        (20, 2.0, 1.0, 2, [4, 14]),
    ],
)
def test_frames_are_sampled_evenly(
    number: int, fps: float, kept_fps: float | None, max_frames: int, expected: list[int]
) -> None:
    assert list(chosen_frames(number, fps, kept_fps, max_frames)) == expected


def test_chosen_frames_are_distinct_ascending_and_few() -> None:
    random = np.random.default_rng(0)
    for _ in range(500):
        number, most = int(random.integers(1, 300)), int(random.integers(1, 70))
        fps, kept = float(random.uniform(0.1, 60)), float(random.uniform(0.1, 60))
        chosen = chosen_frames(number, fps, kept, most)
        assert 1 <= len(chosen) <= min(number, most)
        assert list(chosen) == sorted(set(chosen)) and chosen[0] >= 0 and chosen[-1] < number


def video(frames: list[str], **fields: Any) -> dict[str, Any]:
    return {"type": "video", "frames": frames, **fields}


def watch(*parts: dict[str, Any]) -> dict[str, Any]:
    content = [*parts, {"type": "text", "text": "what"}]
    return {"messages": [{"role": "user", "content": content}, {"role": "assistant", "content": "dog"}]}


def write_videos(root: Path) -> None:
    random = np.random.default_rng(1)
    with ShardWriter(root / "s") as writer:
        for i in range(12):
            names = [f"{n}.png" for n in range(int(random.integers(2, 20)))]
            media = {name: png(20 + n, 30 + i, n) for n, name in enumerate(names)}
            fps = {"fps": float(random.uniform(0.5, 8))} if i % 3 else {}
            parts = [video(names[:-1], **fps), {"type": "image", "image": names[-1]}, video(names, fps=3)]
            writer.write(f"v{i:02d}", watch(*parts[i % 3 :]), media)


@pytest.mark.parametrize("limits", [LIMITS, replace(LIMITS, video_fps=None), replace(LIMITS, max_frames=64)])
def test_the_index_knows_which_frames_are_shown(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer, limits: Limits
) -> None:
    write_videos(tmp_path)
    mixture = open_all("s")
    decoder = SampleDecoder(mixture, tokenizer, limits, ShardSource(tmp_path))
    measured = measure_lengths(mixture.shards[0][0], np.arange(12), limits)
    for row, tokens in enumerate(measured.tokens.tolist()):
        decoded = decoder.decode(0, 0, row, 0, tokens)
        assert decoded.sample.mode == "vision"
        assert [slot.part for slot in decoded.branches[0].slots] == list(decoded.sample.media)
        for part in decoded.sample.messages[0].parts:
            assert not isinstance(part, VideoPart) or len(part.frames) <= limits.max_frames


def test_frames_that_are_not_shown_are_not_read_decoded_or_limited(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    names = [f"{n:02d}.png" for n in range(40)]
    media = {name: png(20, 20, n) + rng.bytes(2**16) for n, name in enumerate(names)}
    media["01.png"] = png(200, 200)
    with ShardWriter(tmp_path / "s", 2**24) as writer:
        writer.write("a", watch(video(names, fps=40.0)), media)
    mixture, source = open_all("s"), ShardSource(tmp_path)
    read: list[int] = []
    original = source.read
    monkeypatch.setattr(
        source, "read", lambda at, begin, size: read.append(size) or original(at, begin, size)
    )
    limits = replace(LIMITS, max_frames=2, video_fps=None)
    measured = measure_lengths(mixture.shards[0][0], np.arange(1), limits)
    assert measured.causes.tolist() == [""]
    decoded = SampleDecoder(mixture, tokenizer, limits, source).decode(0, 0, 0, 0, int(measured.tokens[0]))
    assert [part.member for part in decoded.sample.media] == ["10.png", "30.png"]
    assert sum(read) < 2**18 < 40 * 2**16
    assert measure_lengths(mixture.shards[0][0], np.arange(1), replace(limits, max_frames=40)).causes == [
        "image_too_large"
    ]


def test_frames_use_at_most_max_crops(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", watch(video(["0.png", "1.png"])), {"0.png": png(90, 90), "1.png": png(90, 90)})
    mixture = open_all("s")
    for max_crops in (4, 1):
        limits = replace(LIMITS, geometry=replace(GEOMETRY, max_crops=max_crops))
        tokens = int(measure_lengths(mixture.shards[0][0], np.arange(1), limits).tokens[0])
        decoded = SampleDecoder(mixture, tokenizer, limits, ShardSource(tmp_path)).decode(0, 0, 0, 0, tokens)
        assert [rows * columns for _, _, (rows, columns) in decoded.media] == [max_crops] * 2


@pytest.mark.parametrize(
    "part",
    [
        {"type": "video"},
        {"type": "video", "frames": []},
        {"type": "video", "frames": "0.png"},
        {"type": "video", "frames": ["0.wav"]},
        {"type": "video", "frames": [3]},
        {"type": "video", "frames": ["0.png"], "fps": 0},
        {"type": "video", "frames": ["0.png"], "fps": True},
        {"type": "video", "frames": ["0.png"], "fps": float("nan")},
        {"type": "video", "frames": ["0.png"], "fps": 1e9},
        {"type": "video", "frames": ["0.png"], "speed": 2},
    ],
)
def test_a_video_that_does_not_hold_says_so(part: dict[str, Any]) -> None:
    with pytest.raises(SampleError) as caught:
        parse_sample("k", json.dumps(watch(part)).encode())
    assert caught.value.cause in ("bad_messages", "bad_record")


def test_a_missing_frame_is_missing_media(tmp_path: Path, open_all: Callable[..., Mixture]) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", watch(video(["0.png", "1.png"])), {"0.png": png(20, 20), "2.png": png(20, 20)})
        writer.write("b", watch(video(["0.png"])), {"0.png": png(20, 20), "2.png": png(20, 20)})
    table = open_all("s").shards[0][0]
    assert measure_lengths(table, np.arange(2), LIMITS).causes.tolist() == ["missing_media", ""]
    assert table.summary.unused_members == 1
