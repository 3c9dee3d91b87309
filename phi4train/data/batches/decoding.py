"""Decoding: from a row of an index to a sample's bytes, and on to token ids, labels and processed media."""

from collections import OrderedDict
from typing import Any

import numpy as np

from phi4train.data.batches.encoding import DecodedSample, encode
from phi4train.data.media.kind import Rows
from phi4train.data.media.limits import Limits
from phi4train.data.media.registry import RegisteredKinds
from phi4train.data.order.lengths import why_unusable
from phi4train.data.samples.frames import sample_videos, shown_rows
from phi4train.data.samples.prompts import EncodedSample
from phi4train.data.samples.records import Sample, parse_sample
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.index import ShardIndex
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from phi4train.errors import SampleError

_CACHED_LONG_TOKENS = 16 * 2**20
_MAX_UNUSED_BYTES = 2**18  # reading so much for nothing is cheaper than more reads


class SampleDecoder:
    """Reads and decodes samples of a mixture by byte range. Holds bounded caches only; can be pickled."""

    def __init__(self, mixture: Mixture, tokenizer: Tokenizer, limits: Limits, source: ShardSource) -> None:
        self._mixture = mixture
        self._tokenizer = tokenizer
        self._limits = limits
        self._source = source
        self._long_texts = _LongTexts()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_registered": RegisteredKinds.here()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        state.pop("_registered").register_missing()
        self.__dict__ = state

    def index(self, source: int, shard: int) -> ShardIndex:
        """The index of a shard."""
        return self._mixture.shards[source][shard]

    def key(self, source: int, shard: int, row: int) -> str:
        """`<shard>/<key>` of a sample."""
        index = self.index(source, shard)
        return f"{index.name}/{index.key(row)}"

    def why_unusable(self, source: int, shard: int, row: int) -> SampleError:
        """The error of a sample that the index or the limits rule out."""
        return why_unusable(
            self.index(source, shard), row, self._mixture.sources[source].limits(self._limits)
        )

    def decode(self, source: int, shard: int, row: int, start: int, length: int) -> DecodedSample:
        """Tokens [start, start + length) of a text, or all branches of another sample with its media.

        Raises:
            SampleError: the sample is broken, beyond a limit, or not what its index says.
        """
        index, place = self.index(source, shard), (source, shard, row)
        encoded = self._long_texts.find(place)
        if encoded is not None:
            text = Sample(
                key=index.key(row), text="", task=index.summary.tasks[int(index.samples[row]["task"])]
            )
            return DecodedSample(self.key(*place), text, (encoded.piece(start, length),), ())
        sample, contents = self.read(source, shard, row)
        decoded = encode(self.key(*place), sample, contents, self._tokenizer, self._limits)
        found = decoded.num_tokens
        if found < start + length or (sample.text is None and found != length):
            raise SampleError(
                "length_mismatch",
                f"sample {decoded.key} must have the {start + length} tokens that its index says · found "
                f"{found} · run `{self._mixture.index_command} --rebuild`",
            )
        if found == length:
            return decoded
        (text_branch,) = decoded.branches
        self._long_texts.add(place, text_branch)
        return DecodedSample(decoded.key, sample, (text_branch.piece(start, length),), ())

    def read(self, source: int, shard: int, row: int) -> tuple[Sample, list[bytes]]:
        """The parsed record, only the shown frames left in its videos, and the bytes of each of its `media`.

        Raises:
            SampleError: the record does not parse, is not what its index says, or was found unusable by it.
        """
        index = self.index(source, shard)
        record = index.samples[row]
        first = int(record["media_start"])
        media = index.media[first : first + int(record["media_count"])]
        sampling = (self._limits.video_fps, self._limits.max_frames)
        if media["video"].any():
            media = media[shown_rows(media, np.zeros(len(media), dtype=np.int64), *sampling)]
        spans = [(int(record["offset"]), int(record["size"])), *_spans(media)]
        parts = _read_spans(self._source, index.location, spans)
        if record["cause"]:
            if parts[0]:
                parse_sample(index.key(row), parts[0])  # its words, where it finds the same
            raise index.bad_sample(row)
        sample = sample_videos(parse_sample(index.key(row), parts[0]), *sampling)
        if len(sample.media) != len(media):
            raise SampleError(
                "length_mismatch",
                f"sample {sample.key} must have the {len(media)} media that its index says · found "
                f"{len(sample.media)} · run `{self._mixture.index_command} --rebuild`",
            )
        return sample, parts[1:]


def _spans(media: Rows) -> list[tuple[int, int]]:
    return [(int(row["offset"]), int(row["size"])) for row in media]


def _read_spans(source: ShardSource, location: str, spans: list[tuple[int, int]]) -> list[bytes]:
    """The bytes of each (offset, size), in one read unless much between them would be read for nothing."""
    begin, end = min(offset for offset, _ in spans), max(offset + size for offset, size in spans)
    if end - begin > sum(size for _, size in spans) + _MAX_UNUSED_BYTES:
        return [source.read(location, offset, size) for offset, size in spans]
    content = source.read(location, begin, end - begin)
    return [content[offset - begin : offset - begin + size] for offset, size in spans]


class _LongTexts:
    """Encoded texts that are longer than a context, so that their pieces do not tokenize them again."""

    def __init__(self) -> None:
        self._texts: OrderedDict[tuple[int, int, int], EncodedSample] = OrderedDict()
        self._tokens = 0

    def __getstate__(self) -> dict[str, object]:
        return {"_texts": OrderedDict(), "_tokens": 0}

    def find(self, place: tuple[int, int, int]) -> EncodedSample | None:
        if place in self._texts:
            self._texts.move_to_end(place)
        return self._texts.get(place)

    def add(self, place: tuple[int, int, int], encoded: EncodedSample) -> None:
        self._texts[place] = encoded
        self._tokens += len(encoded.input_ids)
        while self._tokens > _CACHED_LONG_TOKENS:
            _, dropped = self._texts.popitem(last=False)
            self._tokens -= len(dropped.input_ids)
