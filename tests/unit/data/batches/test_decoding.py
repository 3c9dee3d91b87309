"""A row of an index becomes ids and media, with few reads, and what is not as indexed is refused."""

import pickle
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from phi4train.data.batches import decoding
from phi4train.data.batches.decoding import SampleDecoder
from phi4train.data.batches.encoding import encode
from phi4train.data.media.limits import Limits
from phi4train.data.media.spec_augment import SpecAugment
from phi4train.data.samples.prompts import EncodedSample
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from phi4train.data.shards.writer import ShardWriter
from phi4train.errors import SampleError
from tests.unit.data.small_shards import (
    ask,
    clip,
    png,
    question,
    words,
)

MakeDecoder = Callable[..., tuple[SampleDecoder, "CountingSource"]]
MASKS = SpecAugment(time_masks=2, time_width=9, frequency_masks=1, frequency_width=9)


class CountingSource(ShardSource):
    """Notes what is read."""

    def __init__(self, cache_dir: Path) -> None:
        super().__init__(cache_dir)
        self.reads: list[tuple[int, int]] = []

    def read(self, location: str, offset: int, size: int) -> bytes:
        self.reads.append((offset, size))
        return super().read(location, offset, size)


@pytest.fixture
def make_decoder(
    tmp_path: Path, open_all: Callable[..., Mixture], tokenizer: Tokenizer, limits: Limits
) -> MakeDecoder:
    """A decoder of the source `s`, and what it reads."""

    def make() -> tuple[SampleDecoder, CountingSource]:
        source = CountingSource(tmp_path)
        return SampleDecoder(open_all("s"), tokenizer, limits, source), source

    return make


def tokens_of(decoder: SampleDecoder, row: int) -> int:
    return int(decoder.index(0, 0).samples[row]["text_tokens"][0])


def test_a_record_and_its_media_come_in_one_read(tmp_path: Path, make_decoder: MakeDecoder) -> None:
    contents = {"0.png": png(30, 20), "1.png": png(20, 30, shade=9)}
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", ask("1.png", "0.png"), contents)
    decoder, source = make_decoder()
    sample, media = decoder.read(0, 0, 0)
    assert [part.member for part in sample.media] == ["1.png", "0.png"]
    assert media == [contents["1.png"], contents["0.png"]] and len(source.reads) == 1
    assert decoder.key(0, 0, 0) == "s-000000.tar/a"


def test_far_apart_members_are_read_by_themselves(
    tmp_path: Path, make_decoder: MakeDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        media = {"0.png": png(30, 20), "1.png": b"\0" * 50_000, "2.png": png(20, 30)}
        writer.write("a", ask("0.png", "2.png"), media)
    decoder, together = make_decoder()
    expected = decoder.read(0, 0, 0)
    monkeypatch.setattr(decoding, "_MAX_UNUSED_BYTES", 1000)
    decoder, apart = make_decoder()
    assert decoder.read(0, 0, 0) == expected
    assert len(together.reads) == 1 and len(apart.reads) == 3
    assert sum(size for _, size in apart.reads) < 2_000 < sum(size for _, size in together.reads)


def test_pieces_of_a_long_text_are_the_text_and_it_is_read_once(
    tmp_path: Path, make_decoder: MakeDecoder, tokenizer: Tokenizer
) -> None:
    text = words(random.Random(0), 150)
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("long", {"text": text, "task": "lm"})
    decoder, source = make_decoder()
    length = tokens_of(decoder, 0)
    assert length > 128
    pieces = [decoder.decode(0, 0, 0, start, min(64, length - start)) for start in range(0, length, 64)]
    ids = [token for piece in pieces for token in piece.branches[0].input_ids.tolist()]
    assert ids == tokenizer.encode(text)
    assert len(source.reads) == 1
    assert {(piece.key, piece.sample.task) for piece in pieces} == {("s-000000.tar/long", "lm")}


def test_a_decoder_in_another_process_decodes_the_same(
    tmp_path: Path, make_decoder: MakeDecoder, tokenizer: Tokenizer, limits: Limits
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", ask("0.png", "0.wav"), {"0.png": png(30, 20), "0.wav": clip(4_000)})
        writer.write("long", {"text": words(random.Random(0), 150)})
    decoder, _ = make_decoder()
    decoder.decode(0, 0, 1, 0, 64)
    tokens = encode("k", *decoder.read(0, 0, 0), tokenizer, limits).num_tokens
    sent = pickle.dumps(decoder)
    assert len(sent) < 2**16, "neither arrays nor texts travel"
    one, two = (each.decode(0, 0, 0, 0, tokens) for each in (decoder, pickle.loads(sent)))
    assert one.branches[0].input_ids.tolist() == two.branches[0].input_ids.tolist()
    assert torch.equal(one.media[1], two.media[1]) and torch.equal(one.media[0].crops, two.media[0].crops)


def test_what_is_not_as_long_as_its_index_says_is_refused(tmp_path: Path, make_decoder: MakeDecoder) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", question(random.Random(0), None))
        writer.write("b", {"text": "the cat"})
    decoder, _ = make_decoder()
    length = tokens_of(decoder, 0)
    assert len(decoder.decode(0, 0, 0, 0, length).branches[0].input_ids) == length
    for row, asked in ((0, length - 1), (0, length + 1), (1, tokens_of(decoder, 1) + 1)):
        with pytest.raises(SampleError, match="tokens that its index says · found") as caught:
            decoder.decode(0, 0, row, 0, asked)
        assert caught.value.cause == "length_mismatch"


def test_a_sample_that_its_index_found_unusable_is_refused_with_its_cause(
    tmp_path: Path, make_decoder: MakeDecoder
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", ask("0.png"))
        writer.write("b", ask())
    with pytest.raises(SampleError, match=r"found no a\.0\.png · add") as caught:
        make_decoder()[0].read(0, 0, 0)
    assert caught.value.cause == "missing_media"


def test_changes_of_media_follow_from_the_seeds_and_leave_the_sample(
    tmp_path: Path, make_decoder: MakeDecoder, tokenizer: Tokenizer, limits: Limits
) -> None:
    with ShardWriter(tmp_path / "s") as writer:
        writer.write("a", ask("0.wav", "1.wav"), {"0.wav": clip(4_000), "1.wav": clip(4_000)})
    decoder, _ = make_decoder()
    decoded = encode("k", *decoder.read(0, 0, 0), tokenizer, limits)
    one, same, other = (decoded.augmented(MASKS, 7, seed) for seed in (0, 0, 1))
    assert all(torch.equal(a, b) for a, b in zip(one.media, same.media, strict=True))
    assert not torch.equal(one.media[0], other.media[0])
    assert torch.equal(decoded.media[0], decoded.media[1])
    assert not torch.equal(one.media[0], one.media[1]), "each medium has masks of its own"
    assert one.branches is decoded.branches


def test_encoded_long_texts_are_kept_within_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_CACHED_LONG_TOKENS", 100)
    kept = decoding._LongTexts()
    ids = np.zeros(40, dtype=np.int32)
    for row in range(5):
        kept.add((0, 0, row), EncodedSample(ids, ids, ()))
    assert [row for row in range(5) if kept.find((0, 0, row)) is not None] == [3, 4]
