"""A sample is shown as the model sees it, its targets between marks."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from phi4train.data.inspection.show import render_targets, show_sample
from phi4train.data.media.limits import Limits
from phi4train.data.samples.prompts import encode_sample
from phi4train.data.samples.records import parse_sample
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import ManifestError, SampleError
from tests.unit.data.small_shards import (
    png,
    question,
    words,
    write_questions,
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
    with pytest.raises(SampleError, match=r"found no lost\.0\.png · add"):
        show_sample(mixture, tokenizer, limits, source, 7)
    with pytest.raises(ManifestError, match="must be below 9 · found 99"):
        show_sample(mixture, tokenizer, limits, source, 99)
