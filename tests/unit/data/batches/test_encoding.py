"""Encoding: a sample from anywhere, without a mixture, and the branches of a preference."""

import json
from dataclasses import replace
from typing import Any

import pytest

from phi4train.data.batches.encoding import DecodedSample, encode
from phi4train.data.media import image_kind
from phi4train.data.media.limits import Limits
from phi4train.data.samples.records import parse_sample
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.errors import SampleError
from tests.unit.data.small_shards import ask, png, prefer


def encoded(record: dict[str, Any], tokenizer: Tokenizer, limits: Limits, *more: bool) -> DecodedSample:
    sample = parse_sample("k", json.dumps(record).encode())
    return encode("chat/k", sample, [png(28, 28)] * len(sample.media), tokenizer, limits, *more)


def test_a_chat_needs_no_mixture(tokenizer: Tokenizer, limits: Limits) -> None:
    prompt = encoded(ask("0.png"), tokenizer, limits, True)
    (branch,) = prompt.branches
    assert prompt.key == "chat/k" and branch.num_targets == 0 and len(prompt.media) == 1
    assert branch.input_ids[-1] == tokenizer.role_token_ids["assistant"]


def test_the_context_limits_each_branch_and_not_their_sum(tokenizer: Tokenizer, limits: Limits) -> None:
    pairs = replace(limits, num_branches=2)
    longest = max(len(branch.input_ids) for branch in encoded(prefer(), tokenizer, pairs).branches)
    fitting = encoded(prefer(), tokenizer, replace(pairs, context_tokens=longest))
    assert fitting.num_tokens > longest
    with pytest.raises(SampleError, match=f"found {longest} tokens, limit {longest - 1} ·") as caught:
        encoded(prefer(), tokenizer, replace(pairs, context_tokens=longest - 1))
    assert caught.value.cause == "longer_than_context"


@pytest.mark.parametrize(("record", "num_branches"), [(prefer(), 1), (ask(), 2), ({"text": "the cat"}, 2)])
def test_another_number_of_branches_is_unsupported_but_a_prompt_is_always_one(
    tokenizer: Tokenizer, limits: Limits, record: dict[str, Any], num_branches: int
) -> None:
    others = replace(limits, num_branches=num_branches)
    with pytest.raises(SampleError, match=r"a record must be of .* for this objective") as caught:
        encoded(record, tokenizer, others)
    assert caught.value.cause == "unsupported_record"
    if "text" not in record:
        assert len(encoded(record, tokenizer, others, True).branches) == 1


@pytest.mark.parametrize("size", [(28, 27), (12, 28), (90, 50), (28, 61)])
def test_what_an_image_becomes_fills_its_slots(
    size: tuple[int, int], tokenizer: Tokenizer, limits: Limits
) -> None:
    sample = parse_sample("k", json.dumps(ask("0.png")).encode())
    large = replace(limits, context_tokens=10**6, max_image_pixels=10**6)
    (branch,) = encode("k", sample, [png(*size)], tokenizer, large).branches
    assert branch.slots[0].length > 0


def test_a_header_that_lies_of_its_size_is_a_bad_sample(
    tokenizer: Tokenizer, limits: Limits, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_kind, "image_size", lambda _: (12, 28))
    with pytest.raises(
        SampleError, match=r"0\.png of sample k must fill the \d+ tokens .* found \d+ tokens"
    ) as caught:
        encode("k", parse_sample("k", json.dumps(ask("0.png")).encode()), [png(28, 12)], tokenizer, limits)
    assert caught.value.cause == "slot_mismatch"
