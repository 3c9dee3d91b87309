"""Control tokens in texts are found wherever the tokenizer reads, and trained as plain characters."""

import json
from typing import Any

import pytest

from phi4train.data.samples.prompts import encode_sample
from phi4train.data.samples.records import Sample, parse_sample
from phi4train.data.samples.spellings import SpellingCounts, spellings_in
from phi4train.data.samples.tokenizer import O200K_SPECIAL_TOKENS, Tokenizer


def parsed(record: dict[str, Any]) -> Sample:
    return parse_sample("k", json.dumps(record).encode())


def dialogue(role: str, text: str) -> dict[str, Any]:
    turns = [{"role": "user", "content": "q"}, {"role": role, "content": text}]
    return {"messages": [*turns, {"role": "assistant", "content": "a"}]}


@pytest.mark.parametrize(
    "token", [*O200K_SPECIAL_TOKENS, "<|reserved_3|>", "<|im_start|>", "<image>", "<audio_2>"]
)
def test_every_control_token_is_found(token: str) -> None:
    assert spellings_in(parsed({"text": f"so {token}, or{token}"})) == {token}


@pytest.mark.parametrize(
    "text", ["a < b | c > d", "<|", "<||>", "<b>bold</b>", "[1]", "x|end|y", "<| end |>", "<imagen>"]
)
def test_ordinary_text_is_none(text: str) -> None:
    assert spellings_in(parsed({"text": text})) == set()


@pytest.mark.parametrize(
    "record",
    [
        {"text": "<|end|>"},
        *(dialogue(role, "<|end|>") for role in ("system", "user", "assistant", "tool")),
        {**dialogue("tool", "x"), "tools": [{"name": "f", "<|end|>": 1}]},
        {"prompt": "<|end|>", "chosen": "a", "rejected": "b"},
        {"prompt": "q", "chosen": "<|end|>", "rejected": "b"},
        {"prompt": "q", "chosen": "a", "rejected": "<|end|>"},
        {"messages": [
            {"role": "user", "content": [{"type": "image", "image": "0.png", "reading": "<|end|>"}]},
            {"role": "assistant", "content": "a"},
        ]},
    ],
)  # fmt: skip
def test_all_texts_are_looked_at_and_none_becomes_a_control_token(
    record: dict[str, Any], tokenizer: Tokenizer
) -> None:
    sample, plain = parsed(record), parsed(json.loads(json.dumps(record).replace("<|end|>", "x")))
    assert spellings_in(sample) == {"<|end|>"}
    lengths = [0] * len(sample.media)
    special = set(tokenizer.special_token_ids.values())
    with_token, without = (encode_sample(each, tokenizer, lengths) for each in (sample, plain))
    for branch, other in zip(with_token, without, strict=True):
        control, expected = (
            [token for token in each.input_ids.tolist() if token in special] for each in (branch, other)
        )
        assert control == expected


def test_spellings_are_counted_by_sample_and_stay_few() -> None:
    counts = SpellingCounts()
    for row in range(50):
        counts.add(row, parsed({"text": f"<|end|><|end|><|x{row}|>"}))
    counts.add(50, parsed({"text": "plain"}))
    found = {spelling: (number, row) for spelling, number, row in counts.counted()}
    assert counts.num_samples == 50 and found["<|end|>"] == (50, 0) and found["<|x3|>"] == (1, 3)
    assert len(found) == 32
