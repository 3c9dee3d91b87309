"""What a check counts is what training sees, and it finds what is not as its index says."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from phi4train.data.batches.loader import DataPlan
from phi4train.data.inspection.check import CheckReport, check_mixture, render_check
from phi4train.data.inspection.show import show_sample
from phi4train.data.inspection.stats import manifest_stats, render_stats
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import NO_SPEC_AUGMENT
from phi4train.data.order.lengths import why_unusable
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
    tmp_path: Path, tokenizer: Tokenizer, limits: Limits, open_all: Callable[..., Mixture]
) -> None:
    mixed(tmp_path)
    report = check_mixture(open_all("s"), tokenizer, limits, tmp_path, None)
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
    mixture = open_mixture(manifest, tmp_path, tmp_path, tokenizer)  # too cheap to see it
    report = check_mixture(mixture, tokenizer, limits, tmp_path)
    assert not report.is_fit
    assert len(report.problems) == 1 and "must have the sha256 of its index" in report.problems[0]
    remedy = f"run `phi4train data index {tmp_path}/mixture.yaml run.data_root={tmp_path} --rebuild`"
    assert "NOT FIT" in render_check(report) and remedy in render_check(report)


def test_a_few_samples_are_decoded_and_more_where_one_is_broken(
    tmp_path: Path, tokenizer: Tokenizer, limits: Limits, open_all: Callable[..., Mixture]
) -> None:
    broken = png(60, 60)[:60] + bytes(200)
    for name, num_broken in (("good", 0), ("half", 20), ("s", 40)):
        with ShardWriter(tmp_path / name, 20_000) as writer:
            for i in range(40):
                image = broken if i < num_broken else png(60, 60)
                writer.write(f"{i}", question(random.Random(i)), {"0.png": image})
        assert len(writer.shards) > 1
    mixture = open_all("good", "half", "s")

    def found(num_decoded: int | None) -> list[tuple[int, int, int]]:
        report = check_mixture(mixture, tokenizer, limits, tmp_path, num_decoded)
        assert report.is_fit, "whether they are too many is for refusals.py to say"
        assert [sum(each.unusable.values()) for each in report.sources] == [
            each.num_broken for each in report.sources
        ]
        return [(each.num_decoded, each.num_broken, each.num_usable) for each in report.sources]

    assert found(0) == [(0, 0, 40)] * 3
    assert found(None) == [(40, 0, 40), (40, 20, 20), (40, 40, 0)]
    assert found(8) == [(8, 0, 40), (40, 20, 20), (40, 40, 0)]
    text = render_check(check_mixture(mixture, tokenizer, limits, tmp_path))
    assert "20 left out: broken_image\n      half-000000.tar/0: " in text
    assert "20 of 40 decoded samples are broken" in text


def test_causes_are_told_with_their_numbers_and_in_the_words_of_who_found_them(
    tmp_path: Path, tokenizer: Tokenizer, limits: Limits, open_all: Callable[..., Mixture]
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("ok", question(random.Random(0)), {"0.png": png(40, 40)})
        writer.write("long", ask(text="cat " * 500))
        writer.write("big", ask("0.png"), {"0.png": png(200, 100)})
        writer.write("loud", ask("0.wav"), {"0.wav": clip(24_000, 8_000)})
        writer.write("shape", {"texts": ["a"], "images": ["0.png"]})
        writer.write("lost", ask("0.png"), {"1.png": png(9, 9)})
    mixture, limits = open_all("s"), replace(limits, max_audio_seconds=2)
    text = render_check(check_mixture(mixture, tokenizer, limits, tmp_path))
    place = mixture.shards[0][0]
    num_tokens = int(place.samples[1]["text_tokens"][0])
    for line in (
        f"s-000000.tar/long: sample long must fit into the context · found {num_tokens} tokens, limit 64 · ",
        "s-000000.tar/big: an image must have at most 10000 pixels · found 200 x 100 · ",
        "s-000000.tar/loud: audio must have at most 2 seconds · found 3.00 s at 8000 Hz · ",
        "s-000000.tar/shape: a record must have no keys but",
        "found ['images', 'texts'] · rename them, or move them into meta",
        "s-000000.tar/lost: sample lost must have the media that it names · ",
        " · found no lost.0.png, but lost.1.png · add the member, or mend the record",
    ):
        assert line in text


def test_the_first_samples_of_a_cause_keep_their_words_and_the_others_say_the_cause(
    tmp_path: Path, tokenizer: Tokenizer, limits: Limits, open_all: Callable[..., Mixture]
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        for i in range(5):
            writer.write(f"{i}", {"messages": [{"role": "user", "content": "x"}]})
    index = open_all("s").shards[0][0]
    told = [str(why_unusable(index, row, limits)) for row in range(5)]
    assert all(text.startswith("a training sample must have text") for text in told[:3])
    assert all("found no_targets in its index" in text for text in told[3:])
    assert {why_unusable(index, row, limits).cause for row in range(5)} == {"no_targets"}


def test_control_tokens_in_texts_are_counted_and_shown(
    tmp_path: Path, tokenizer: Tokenizer, limits: Limits, open_all: Callable[..., Mixture]
) -> None:
    limits = replace(limits, context_tokens=500)
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", {"text": "<|user|>hi<|end|><|assistant|>ho<|end|>"})
        writer.write("b", {"text": "a <b> [c] of |end|"})
        writer.write("c", ask(text="<image> what"))
    with ShardWriter(tmp_path / "s2") as writer:
        writer.write("d", {"text": "<|end|>"})
    mixture = open_all("s", "s2")
    checks = check_mixture(mixture, tokenizer, limits, tmp_path).sources
    assert [check.spelled_samples for check in checks] == [2, 1]
    assert checks[0].spellings == {
        "<|user|>": (1, "s-000000.tar/a"),
        "<|end|>": (1, "s-000000.tar/a"),
        "<|assistant|>": (1, "s-000000.tar/a"),
        "<image>": (1, "s-000000.tar/c"),
    }
    text = render_check(check_mixture(mixture, tokenizer, limits, tmp_path))
    assert "2 samples spell control tokens, which train as plain characters" in text
    assert "<image> in 1, one is s-000000.tar/c" in text


def test_check_stats_and_show_tell_of_audio(
    tmp_path: Path, tokenizer: Tokenizer, limits: Limits, open_all: Callable[..., Mixture]
) -> None:
    limits = replace(limits, max_audio_seconds=2)
    contents = [clip(8_000 * (1 + i), 8_000, seed=i) for i in range(3)] + [clip(24_000, 48_000), clip(9)]
    with ShardWriter(tmp_path / "s") as writer:
        for i, content in enumerate(contents):
            writer.write(f"a{i}", ask("0.wav"), {"0.wav": content})
    mixture = open_all("s")
    report = check_mixture(mixture, tokenizer, limits, tmp_path, None)
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
        return check_mixture(mixture, tokenizer, limits, tmp_path, None)

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
