"""Check, stats and show: what they count is what training sees."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from phi4train.data.batches.loader import DataPlan, build_loader
from phi4train.data.inspection.check import CheckReport, check_manifest, render_check
from phi4train.data.inspection.show import render_targets, show_sample
from phi4train.data.inspection.stats import manifest_stats, render_stats
from phi4train.data.media.limits import Limits
from phi4train.data.order.planner import BatchSize
from phi4train.data.samples.prompts import encode_sample
from phi4train.data.samples.records import parse_sample
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture, index_manifest, open_mixture
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import ManifestError, SampleError
from tests.unit.data.small_shards import (
    GEOMETRY,
    ask,
    clip,
    png,
    prefer,
    question,
    words,
    write_manifest,
    write_questions,
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
    assert len(report.problems) == 1 and "has the sha256 of its index" in report.problems[0]
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


def test_indexing_skips_what_is_up_to_date(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write_texts(tmp_path, 60)
    manifest = write_manifest(tmp_path, "text")
    shards = sorted(path.name for path in tmp_path.glob("*.tar"))
    assert index_manifest(manifest, tmp_path, tmp_path, tokenizer) == shards
    assert index_manifest(manifest, tmp_path, tmp_path, tokenizer) == []
    write_texts(tmp_path, 60, seed=3)
    assert index_manifest(manifest, tmp_path, tmp_path, tokenizer) == shards
    assert index_manifest(manifest, tmp_path, tmp_path, tokenizer, rebuild=True) == shards


def test_num_samples_of_the_manifest_is_checked(tmp_path: Path, tokenizer: Tokenizer) -> None:
    write_texts(tmp_path, 9)
    manifest = write_manifest(tmp_path, "text", extra=", num_samples: 10")
    index_manifest(manifest, tmp_path, tmp_path, tokenizer)
    with pytest.raises(ManifestError, match="num_samples is 10 · found 9"):
        open_mixture(manifest, tmp_path, tmp_path, tokenizer)


def test_stats_agree_with_what_the_loader_yields(
    tmp_path: Path, mixture: Mixture, tokenizer: Tokenizer, limits: Limits
) -> None:
    plan = DataPlan(BatchSize(tokens=400), limits, 128, 256, seed=0)
    stats = manifest_stats(mixture, plan, max_steps=64)
    steps = list(build_loader(mixture, tokenizer, plan, tmp_path, 0, 64))
    tokens = sum(len(batch.input_ids_T) for step in steps for batch in step.micro_batches)
    assert stats.tokens_per_step == pytest.approx(tokens / 64)
    assert stats.samples_per_step == pytest.approx(sum(step.num_drawn for step in steps) / 64)
    assert 0.9 < stats.pack_fill <= 1
    assert stats.modes == {"text": 60, "vision": 40} and stats.tasks == {"lm": 60, "vqa": 40}
    assert sum(stats.length_histogram.values()) == 100
    text, vision = stats.sources
    assert (text.sample_share, vision.sample_share) == (0.5, 0.5)
    assert text.tokens == text.target_tokens and vision.tokens > vision.target_tokens
    assert text.epochs == pytest.approx(vision.epochs * 40 / 60)
    rendered = render_stats(stats)
    assert "image: 40 items" in rendered and "megapixels" in rendered
    assert "modes: text 60, vision 40" in rendered and f"{text.tokens:,}" in rendered


def test_show_marks_exactly_the_targets(tokenizer: Tokenizer) -> None:
    record = b"""{"messages": [{"role": "user", "content": [{"type": "image", "image": "0.png"},
        {"type": "text", "text": "the dog"}]}, {"role": "assistant", "content": "a cat"}]}"""
    (encoded,) = encode_sample(parse_sample("k", record), tokenizer, [5])
    assert render_targets(encoded, tokenizer) == (
        "<|user|><|endoftext10|>*5the dog<|end|><|assistant|>⟦a cat<|end|><|endoftext|>⟧"
    )
    (text,) = encode_sample(parse_sample("k", b'{"text": "the dog"}'), tokenizer, [])
    first = tokenizer.decode(tokenizer.encode("the dog")[:1])
    assert render_targets(text, tokenizer) == f"{first}⟦{'the dog'.removeprefix(first)}<|endoftext|>⟧"


def test_show_finds_samples_by_number_and_says_what_is_wrong(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer, limits: Limits
) -> None:
    write_questions(tmp_path, 3)
    mixed(tmp_path)
    mixture, source = open_all("vision", "s"), ShardSource(tmp_path)
    shown = show_sample(mixture, tokenizer, limits, source, 2)
    assert "key: vision-000000.tar/v0002" in shown and "image 0.png:" in shown and "answer: yes" in shown
    assert "key: s-000000.tar/ok" in show_sample(mixture, tokenizer, limits, source, 3)
    with pytest.raises(SampleError, match="at most 10000 pixels"):
        show_sample(mixture, tokenizer, limits, source, 6)
    with pytest.raises(SampleError, match="its index says missing_media"):
        show_sample(mixture, tokenizer, limits, source, 7)
    with pytest.raises(ManifestError, match="is below 9 · found 99"):
        show_sample(mixture, tokenizer, limits, source, 99)


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
    plan = DataPlan(BatchSize(samples=2), limits, 64, 64, seed=0)
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
    stats = manifest_stats(mixture, DataPlan(BatchSize(samples=2), pairs, 128, 128, seed=0), max_steps=64)
    (source,) = stats.sources
    assert (source.num_usable, source.tokens) == (4, checked(pairs).sources[0].tokens)
    assert source.tokens > 4 * limits.context_tokens, "all branches of a sample together exceed the context"
    targets = sum(len(tokenizer.encode(answer)) + 2 for answer in (good, bad))
    assert source.target_tokens == 4 * targets and stats.tasks == {"taste": 4}

    slots = GEOMETRY.num_image_tokens(40, 40)
    shown = show_sample(mixture, tokenizer, limits, ShardSource(tmp_path), 0)
    assert "left out: this objective trains on records of text or messages" in shown
    for name, answer in (("chosen", good), ("rejected", bad)):
        part = shown.partition(f"\n{name}:\n")[2]
        assert part.startswith("tokens: ") and f"image 0.png: {slots} tokens at 1, 40x40 px" in part
        assert (
            f"<|user|><|endoftext10|>*{slots}what<|end|><|assistant|>⟦{answer}<|end|><|endoftext|>⟧" in part
        )
    assert "left out" not in show_sample(mixture, tokenizer, pairs, ShardSource(tmp_path), 0)
