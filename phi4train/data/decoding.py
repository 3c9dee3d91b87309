"""Decoding: from a row of an index to token ids, labels and image crops, within the limits."""

from collections import OrderedDict
from dataclasses import dataclass

from phi4train.data.images import ProcessedImage, image_size, open_image
from phi4train.data.index import Rows, ShardIndex
from phi4train.data.lengths import Limits
from phi4train.data.mixture import Mixture
from phi4train.data.prompts import EncodedSample, encode_sample
from phi4train.data.records import Sample, parse_sample
from phi4train.data.shards import ShardSource
from phi4train.data.tokenizer import Tokenizer
from phi4train.errors import SampleError

_CACHED_LONG_TOKENS = 16 * 2**20


@dataclass(frozen=True)
class DecodedSample:
    """A sample, or a piece of a long text, ready to be laid into a batch.

    Args:
        key: `<shard>/<key>`.
        images: one per image slot, in order.
    """

    key: str
    sample: Sample
    encoded: EncodedSample
    images: tuple[ProcessedImage, ...]


class SampleDecoder:
    """Reads and decodes samples of a mixture by byte range. Holds bounded caches only; can be pickled."""

    def __init__(self, mixture: Mixture, tokenizer: Tokenizer, limits: Limits, source: ShardSource) -> None:
        self._mixture = mixture
        self._tokenizer = tokenizer
        self._limits = limits
        self._source = source
        self._long_texts = _LongTexts()

    def index(self, source: int, shard: int) -> ShardIndex:
        """The index of a shard."""
        return self._mixture.shards[source][shard]

    def key(self, source: int, shard: int, row: int) -> str:
        """`<shard>/<key>` of a sample."""
        index = self.index(source, shard)
        return f"{index.name}/{index.key(row)}"

    def decode(self, source: int, shard: int, row: int, start: int, length: int) -> DecodedSample:
        """Tokens [start, start + length) of a sample with its images.

        Raises:
            SampleError: the sample is broken, beyond a limit, or not what its index says.
        """
        index, place = self.index(source, shard), (source, shard, row)
        encoded = self._long_texts.find(place)
        if encoded is not None:
            text = Sample(
                key=index.key(row), text="", task=index.summary.tasks[int(index.samples[row]["task"])]
            )
            return DecodedSample(self.key(*place), text, encoded.piece(start, length), ())
        sample, contents = self.read(source, shard, row)
        decoded = self.encode(self.key(*place), sample, contents)
        found = len(decoded.encoded.input_ids)
        if found < start + length or (sample.text is None and found != length):
            raise SampleError(
                "length_mismatch",
                f"sample {decoded.key} has the {start + length} tokens that its index says · found {found} · "
                f"run `phi4train data index {self._mixture.manifest.reference}`",
            )
        if found == length:
            return decoded
        self._long_texts.add(place, decoded.encoded)
        return DecodedSample(decoded.key, sample, decoded.encoded.piece(start, length), ())

    def read(self, source: int, shard: int, row: int) -> tuple[Sample, list[bytes]]:
        """The parsed record and the bytes of each item of its `media`, in one read.

        Raises:
            SampleError: the record does not parse, or the index found the sample unusable.
        """
        index = self.index(source, shard)
        record = index.samples[row]
        first = int(record["media_start"])
        media = index.media[first : first + int(record["media_count"])]
        spans = [(int(record["offset"]), int(record["size"])), *_spans(media)]
        begin = min(offset for offset, _ in spans)
        end = max(offset + size for offset, size in spans)
        content = self._source.read(index.location, begin, end - begin)
        parts = [content[offset - begin : offset - begin + size] for offset, size in spans]
        sample = parse_sample(index.key(row), parts[0])
        if record["cause"]:
            cause = index.causes[int(record["cause"]) - 1]
            raise SampleError(cause, f"sample {sample.key} is usable · its index says {cause} · leave it out")
        return sample, parts[1:]

    def encode(
        self, key: str, sample: Sample, contents: list[bytes], add_generation_prompt: bool = False
    ) -> DecodedSample:
        """Token ids and crops of a sample whose bytes were read.

        Raises:
            SampleError: a medium is broken, too large or of an unsupported kind; the record has no targets.
        """
        if any(part.kind != "image" for part in sample.media):
            raise SampleError(
                "unsupported_media", f"sample {key} has images only · found audio · leave it out"
            )
        lengths = [self._limits.slot_length(*image_size(content)) for content in contents]
        encoded = encode_sample(sample, self._tokenizer, lengths, add_generation_prompt)
        if sample.text is None and len(encoded.input_ids) > self._limits.context_tokens:
            raise SampleError(
                "longer_than_context",
                f"sample {key} has at most {self._limits.context_tokens} tokens · "
                f"found {len(encoded.input_ids)} · raise the context or leave the sample out",
            )
        images = tuple(
            self._limits.geometry.preprocess(open_image(content, self._limits.max_image_pixels))
            for content in contents
        )
        return DecodedSample(key, sample, encoded, images)


def _spans(media: Rows) -> list[tuple[int, int]]:
    return [(int(row["offset"]), int(row["size"])) for row in media]


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
