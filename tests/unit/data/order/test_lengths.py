"""Lengths: tokens of a sample from the index alone, and the limits that rule it out."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from phi4train.data.batches.decoding import SampleDecoder
from phi4train.data.batches.encoding import encode
from phi4train.data.media.limits import Limits
from phi4train.data.order.lengths import measure_lengths, why_unusable
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from tests.unit.data.small_shards import GEOMETRY, ask, limits_of, png, prefer, words

Open = Callable[..., Mixture]
ANSWER = {"role": "assistant", "content": "dog"}


def measured(mixture: Mixture, limits: Limits) -> list[tuple[int, str]]:
    table = mixture.shards[0][0]
    found = measure_lengths(table, np.arange(table.num_samples), limits)
    return list(zip(found.tokens.tolist(), found.causes.tolist(), strict=True))


def test_planned_tokens_are_decoded_tokens(
    tmp_path: Path, mixture: Mixture, tokenizer: Tokenizer, limits: Limits
) -> None:
    decoder = SampleDecoder(mixture, tokenizer, limits, ShardSource(tmp_path))
    for source in range(2):
        for shard, table in enumerate(mixture.shards[source]):
            found = measure_lengths(table, np.arange(table.num_samples), limits)
            for row in range(table.num_samples):
                sample, contents = decoder.read(source, shard, row)
                decoded = encode("k", sample, contents, tokenizer, limits)
                assert decoded.num_tokens == found.tokens[row]


def test_every_image_of_a_sample_counts(tmp_path: Path, open_all: Open) -> None:
    limits = limits_of(10_000)
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", ask())
        writer.write("b", ask("0.png", "1.png"), {"0.png": png(56, 56), "1.png": png(30, 80)})
        writer.write("c", ask("0.png", "0.png"), {"0.png": png(56, 56)})
    (text, _), (two, _), (twice, _) = measured(open_all("s"), limits)
    one, other = GEOMETRY.num_image_tokens(56, 56), GEOMETRY.num_image_tokens(30, 80)
    assert (two - text, twice - text) == (one + other, 2 * one)


def test_limits_rule_samples_out_with_their_cause(tmp_path: Path, open_all: Open) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", ask("0.png"), {"0.png": png(101, 100)})
        writer.write("b", ask("0.png"), {"0.png": png(9_000, 1)})
        writer.write("c", ask("0.png", "1.png"), {"0.png": png(40, 40), "1.png": png(101, 100)})
        writer.write("d", ask(*["0.png"] * 9), {"0.png": png(40, 40)})
        writer.write("e", {"text": words(random.Random(0), 90)})
        listen = {"role": "user", "content": [{"type": "audio", "audio": "0.wav"}]}
        writer.write("f", {"messages": [listen, ANSWER]}, {"0.wav": b"RIFF"})
        writer.write("g", ask())
    found = measured(open_all("s"), limits_of(64))
    assert [cause for _, cause in found] == [
        "image_too_large",
        "image_too_thin",
        "image_too_large",
        "longer_than_context",
        "",
        "broken_audio",
        "",
    ]
    assert [tokens > 0 for tokens, _ in found] == [False, False, False, False, True, False, True]


@pytest.mark.parametrize("pixels", [10_099, 10_100])
def test_the_pixel_limit_is_inclusive(tmp_path: Path, open_all: Open, pixels: int) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", ask("0.png"), {"0.png": png(101, 100)})
        writer.write("b", ask())
    causes = [cause for _, cause in measured(open_all("s"), limits_of(10_000, pixels))]
    assert causes == ["" if pixels >= 10_100 else "image_too_large", ""]


def test_a_preference_measures_all_its_branches_and_each_must_fit_the_context(
    tmp_path: Path, open_all: Open
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        for i, chosen in enumerate(["a cat", "the " * 20]):
            writer.write(str(i), prefer("0.png", chosen=chosen), {"0.png": png(56, 56)})
    mixture, limits = open_all("s"), limits_of(10_000, num_branches=2)
    rows = mixture.shards[0][0].samples
    slots = GEOMETRY.num_image_tokens(56, 56)
    branches = (rows["text_tokens"] + slots).tolist()
    assert measured(mixture, limits) == [(sum(each), "") for each in branches]
    longest = max(branches[1])
    assert sum(branches[0]) > longest > max(branches[0]), "the limit is of a branch, never of their sum"
    assert [cause for _, cause in measured(mixture, replace(limits, context_tokens=longest))] == ["", ""]
    tight = replace(limits, context_tokens=longest - 1)
    assert measured(mixture, tight) == [(sum(branches[0]), ""), (0, "longer_than_context")]


@pytest.mark.parametrize(
    ("num_branches", "wanted", "found"),
    [
        (1, "text or messages", "prompt + chosen + rejected"),
        (2, "prompt + chosen + rejected", "text or messages"),
    ],
)
def test_records_with_another_number_of_branches_are_left_out_with_a_word(
    tmp_path: Path, open_all: Open, num_branches: int, wanted: str, found: str
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", prefer("0.png"), {"0.png": png(9_000, 1)})
        writer.write("b", prefer())
        writer.write("c", {"text": "the cat"})
        writer.write("d", ask())
        writer.write("e", {"prompt": "q"})
    limits = limits_of(64, num_branches=num_branches)
    mixture = open_all("s")
    causes = [cause for _, cause in measured(mixture, limits)]
    other = "unsupported_record"
    assert causes == ([other, other, "", "", "bad_record"] if num_branches == 1 else
                      ["image_too_thin", "", other, other, "bad_record"])  # fmt: skip
    errors = {row: why_unusable(mixture.shards[0][0], row, limits) for row in range(5) if causes[row]}
    assert {row: error.cause for row, error in errors.items()} == {
        row: cause for row, cause in enumerate(causes) if cause
    }
    (told, _) = (str(error) for error in errors.values() if error.cause == other)
    assert f"a record must be of {wanted} for this objective · found {found} · leave" in told
    assert "found no chosen and rejected" in str(errors[4])
