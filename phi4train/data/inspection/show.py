"""`phi4train data show`: a sample as the model sees it, targets marked."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from phi4train.batch import IGNORE_INDEX
from phi4train.data.batches.decoding import SampleDecoder
from phi4train.data.batches.encoding import encode
from phi4train.data.media.limits import Limits
from phi4train.data.media.registry import media_kind, media_kinds
from phi4train.data.samples.prompts import EncodedSample, MediaSlot, slot_token_id, unsupported_record
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.source import ShardSource
from phi4train.errors import ManifestError

TARGET_MARKS = ("⟦", "⟧")
"""Text between these is trained on."""


def show_sample(
    mixture: Mixture, tokenizer: Tokenizer, limits: Limits, source: ShardSource, number: int
) -> str:
    """The rendered prompt of one sample with its targets between TARGET_MARKS, and what is known of it.

    A preference is shown with both of its branches, whatever number of them the limits take.

    Args:
        number: position of the sample in the mixture, in the order of the index.

    Raises:
        ManifestError: the mixture has fewer samples.
        SampleError: the sample cannot be used; says why.
    """
    place = _place_of(mixture, number)
    decoder = SampleDecoder(mixture, tokenizer, limits, source)
    key, (sample, contents) = decoder.key(*place), decoder.read(*place)
    decoded = encode(key, sample, contents, tokenizer, replace(limits, num_branches=sample.num_branches))
    lines = [f"key: {key}", f"mode: {sample.mode}   task: {sample.task}"]
    if sample.num_branches != limits.num_branches:
        lines.append(f"left out: {unsupported_record(limits.num_branches)}")
    lines += [f"answer: {answer}" for answer in sample.answers]
    names = ("",) if sample.preference is None else ("chosen", "rejected")
    for name, branch in zip(names, decoded.branches, strict=True):
        lines += ["", f"{name}:"] if name else []
        lines += [*_facts(branch, contents), "", render_targets(branch, tokenizer)]
    return "\n".join(lines)


def _facts(encoded: EncodedSample, contents: Sequence[bytes]) -> Iterator[str]:
    """Lengths of one branch and what its media are."""
    yield f"tokens: {len(encoded.input_ids)}, targets: {encoded.num_targets}"
    for slot, content in zip(encoded.slots, contents, strict=True):
        place = f"{slot.length} tokens at {slot.start}"
        yield f"{slot.part.kind} {slot.part.member}: {place}, {_described(slot, content)}"


def _described(slot: MediaSlot, content: bytes) -> str:
    kind = media_kind(slot.part.kind)
    return kind.describe(kind.measure(content))


def render_targets(encoded: EncodedSample, tokenizer: Tokenizer) -> str:
    """The prompt as text, targets between TARGET_MARKS, runs of media slots written once."""
    return "".join(_rendered_runs(encoded, tokenizer))


def _rendered_runs(encoded: EncodedSample, tokenizer: Tokenizer) -> Iterator[str]:
    # the label of position t is id t + 1; what follows the last position is in its label alone
    ids = [*encoded.input_ids.tolist(), int(encoded.labels[-1])]
    is_target = [False, *(encoded.labels != IGNORE_INDEX).tolist()]
    slots = {slot_token_id(kind, tokenizer) for kind in media_kinds()}
    tokens = [pair for pair in zip(ids, is_target, strict=True) if pair[0] != IGNORE_INDEX]
    for (marked, slot), run in groupby(
        tokens, key=lambda pair: (pair[1], pair[0] if pair[0] in slots else None)
    ):
        run_ids = [token for token, _ in run]
        if slot is not None:
            yield f"{tokenizer.decode([slot])}*{len(run_ids)}"
        elif marked:
            yield f"{TARGET_MARKS[0]}{tokenizer.decode(run_ids)}{TARGET_MARKS[1]}"
        else:
            yield tokenizer.decode(run_ids)


def _place_of(mixture: Mixture, number: int) -> tuple[int, int, int]:
    """(source, shard, row) of a sample."""
    left = number
    for source, indexes in enumerate(mixture.shards):
        for shard, index in enumerate(indexes):
            if 0 <= left < index.num_samples:
                return source, shard, left
            left -= index.num_samples
    raise ManifestError(
        f"manifest {mixture.manifest.name}: a sample's number must be below {number - left} · found "
        f"{number} · choose a smaller one"
    )
