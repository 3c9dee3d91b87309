"""What a check counts is what training sees, and it finds what is not as its index says."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from phi4train.data.batches.loader import DataPlan
from phi4train.data.inspection.check import CheckReport, check_manifest, render_check
from phi4train.data.inspection.show import show_sample
from phi4train.data.inspection.stats import manifest_stats, render_stats
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture, index_manifest, open_mixture
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from tests.unit.data.small_shards import (
    GEOMETRY,
    ask,
    clip,
    png,
    prefer,
    question,
    words,
    write_manifest,
    write_texts,
)


def mixed(root: Path) -> None:
    """Two usable records, one text to cut, and three that cannot be used."""
    rng = random.Random(0)
    with ShardWriter(root / "s") as writer:
        writer.write("ok", question(rng), {"0.png": png(40, 40), "spare.png": png(9, 9)})
        writer.write("chat", question(rng, None))
        writer.write("book", {"text": words(rng, 200), "task": "lm"})
        writer.write("big", question(rng), {"0.png": png(200, 200)})
        writer.write("lost", question(rng))
        writer.write("mute", {"messages": [{"role": "user", "content": "x"}]})


def test_check_counts_what_is_usable_cut_and_left_out(
    tmp_path: Path, tokenizer: Tokenizer, limits: Limits
) -> None:
    mixed(tmp_path)
    manifest = write_manifest(tmp_path, "s")
    index_manifest(manifest, tmp_path, tmp_path, tokenizer)
    report = check_manifest(manifest, tmp_path, tmp_path, tokenizer, limits, decode=True)
    (found,) = report.sources
    assert report.is_fit
    assert (found.num_samples, found.num_usable, found.num_split, found.unused_members) == (6, 3, 1, 1)
    assert found.unusable == {"image_too_large": 1, "missing_media": 1, "no_targets": 1}
    text = render_check(report)
    assert "manifest mixture: fit" in text and "3 of 6 samples usable" in text
    assert "1 texts longer than the context" in text and "s-000000.tar/big" in text


def test_check_finds_one_flipped_bit(tmp_path: Path, tokenizer: Tokenizer, limits: Limits) -> None:
    write_texts(tmp_path, 40)
    manifest = write_manifest(tmp_path, "text")
    index_manifest(manifest, tmp_path, tmp_path, tokenizer)
    path = tmp_path / "text-000000.tar"
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    open_mixture(manifest, tmp_path, tmp_path, tokenizer)  # too cheap to see it
    report = check_manifest(manifest, tmp_path, tmp_path, tokenizer, limits)
    assert not report.is_fit
    assert len(report.problems) == 1 and "must have the sha256 of its index" in report.problems[0]
    assert "NOT FIT" in render_check(
        report
    ) and f"phi4train data index {tmp_path}/mixture.yaml" in render_check(report)


def test_check_reports_missing_indexes_of_all_shards(
    tmp_path: Path, tokenizer: Tokenizer, limits: Limits
) -> None:
    write_texts(tmp_path, 60)
    report = check_manifest(write_manifest(tmp_path, "text"), tmp_path, tmp_path, tokenizer, limits)
    assert not report.is_fit and len(report.problems) == len(list(tmp_path.glob("*.tar"))) > 1


def test_check_decodes_when_asked(tmp_path: Path, tokenizer: Tokenizer, limits: Limits) -> None:
    sound = png(60, 60)
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", question(random.Random(0)), {"0.png": sound[:60] + bytes(len(sound) - 60)})
    manifest = write_manifest(tmp_path, "s")
    index_manifest(manifest, tmp_path, tmp_path, tokenizer)
    by_index, decoded = (
        check_manifest(manifest, tmp_path, tmp_path, tokenizer, limits, decode).sources[0]
        for decode in (False, True)
    )
    assert (by_index.num_usable, decoded.num_usable) == (1, 0)
    assert decoded.unusable == {"broken_image": 1}


def test_check_stats_and_show_tell_of_audio(
    tmp_path: Path, tokenizer: Tokenizer, limits: Limits, open_all: Callable[..., Mixture]
) -> None:
    limits = replace(limits, max_audio_seconds=2)
    contents = [clip(8_000 * (1 + i), 8_000, seed=i) for i in range(3)] + [clip(24_000, 48_000), clip(9)]
    with ShardWriter(tmp_path / "s") as writer:
        for i, content in enumerate(contents):
            writer.write(f"a{i}", ask("0.wav"), {"0.wav": content})
    mixture = open_all("s")
    report = check_manifest(mixture.manifest, tmp_path, tmp_path, tokenizer, limits, decode=True)
    text = render_check(report)
    assert report.sources[0].unusable == {"audio_too_long": 1, "audio_too_short": 1}
    assert "1 left out: audio_too_long" in text
    line = "audio: 3 items, 0.000972 hours, 2 clips at 8000 Hz, 1 clips at 48000 Hz"  # 3.5 seconds
    assert line in text
    plan = DataPlan(BatchSize(samples=2), limits, 64, 64, seed=0, spec_augment=NO_SPEC_AUGMENT)
    stats = render_stats(manifest_stats(mixture, plan, max_steps=64))
    assert line in stats and "modes: speech 3" in stats
    shown = show_sample(mixture, tokenizer, limits, ShardSource(tmp_path), 1)
    assert "mode: speech" in shown and "audio 0.wav: 25 tokens at 1, 2.00 s at 8000 Hz" in shown
    assert "<|endoftext11|>*25what" in shown


def test_preferences_are_checked_counted_and_shown_with_both_branches(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer, limits: Limits
) -> None:
    good, bad = "the red cat " * 5, "a dog was in " * 5
    with ShardWriter(tmp_path / "s") as writer:
        for i in range(4):
            writer.write(f"p{i}", prefer("0.png", chosen=good, rejected=bad), {"0.png": png(40, 40)})
        writer.write("t", {"text": "the cat"})
    mixture, pairs = open_all("s"), replace(limits, num_branches=2)

    def checked(limits: Limits) -> CheckReport:
        return check_manifest(mixture.manifest, tmp_path, tmp_path, tokenizer, limits, decode=True)

    next_token = checked(limits)
    assert (next_token.sources[0].num_usable, next_token.sources[0].unusable) == (
        1,
        {"unsupported_record": 4},
    )
    assert "found prompt + chosen + rejected · leave the record out" in render_check(next_token)
    assert (checked(pairs).sources[0].num_usable, checked(pairs).sources[0].num_split) == (4, 0)
    stats = manifest_stats(
        mixture, DataPlan(BatchSize(samples=2), pairs, 128, 128, 0, NO_SPEC_AUGMENT), max_steps=64
    )
    (source,) = stats.sources
    assert (source.num_usable, source.tokens) == (4, checked(pairs).sources[0].tokens)
    assert source.tokens > 4 * limits.context_tokens, "all branches of a sample together exceed the context"
    targets = sum(len(tokenizer.encode(answer)) + 2 for answer in (good, bad))
    assert source.target_tokens == 4 * targets and stats.tasks == {"taste": 4}

    slots = GEOMETRY.num_image_tokens(40, 40)
    shown = show_sample(mixture, tokenizer, limits, ShardSource(tmp_path), 0)
    assert "left out: a record must be of text or messages for this objective" in shown
    for name, answer in (("chosen", good), ("rejected", bad)):
        part = shown.partition(f"\n{name}:\n")[2]
        assert part.startswith("tokens: ") and f"image 0.png: {slots} tokens at 1, 40x40 px" in part
        assert (
            f"<|user|><|endoftext10|>*{slots}what<|end|><|assistant|>⟦{answer}<|end|><|endoftext|>⟧" in part
        )
    assert "left out" not in show_sample(mixture, tokenizer, pairs, ShardSource(tmp_path), 0)
