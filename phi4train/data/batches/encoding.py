"""Encoding: a parsed record and the bytes of its media become token ids, labels and encoder inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from phi4train.data.media.kind import CountsTokens
from phi4train.data.media.limits import Limits
from phi4train.data.media.registry import media_kind
from phi4train.data.media.spec_augment import SpecAugment
from phi4train.data.samples.prompts import (
    EncodedSample,
    encode_sample,
    longer_than_context,
    unsupported_record,
)
from phi4train.data.samples.records import Sample
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.errors import SampleError


@dataclass(frozen=True)
class DecodedSample:
    """A sample, or a piece of a long text, ready to be laid into a batch.

    Args:
        key: `<shard>/<key>`.
        branches: its sequences, at least one; that of a preference's `chosen` first.
        media: what its kind made of each medium, one per slot of every branch, in order.
    """

    key: str
    sample: Sample
    branches: tuple[EncodedSample, ...]
    media: tuple[Any, ...]

    @property
    def num_tokens(self) -> int:
        """Over all branches."""
        return sum(len(branch.input_ids) for branch in self.branches)

    def augmented(self, settings: SpecAugment, *seeds: int) -> "DecodedSample":
        """The sample with changed media, the same in all branches; the changes depend on `seeds` alone."""
        changed = tuple(
            media_kind(part.kind).augment(item, settings, np.random.default_rng([*seeds, place]))
            for place, (part, item) in enumerate(zip(self.sample.media, self.media, strict=True))
        )
        return replace(self, media=changed)


def encode(
    key: str,
    sample: Sample,
    contents: Sequence[bytes],
    tokenizer: Tokenizer,
    limits: Limits,
    add_generation_prompt: bool = False,
) -> DecodedSample:
    """Token ids and processed media of a sample whose bytes are there.

    Args:
        key: for messages and for `Batch.keys`.
        contents: bytes of each item of `sample.media`.
        add_generation_prompt: see `encode_sample`; a prompt is one branch, whatever the limits say.

    Raises:
        SampleError: a medium is broken, beyond a limit or not what its header says; a branch is longer
            than the context or has no targets; the limits take another number of branches.
    """
    if sample.num_branches != limits.num_branches and not add_generation_prompt:
        raise unsupported_record(limits.num_branches)
    kinds = [media_kind(part.kind) for part in sample.media]
    lengths = [
        kind.slot_length(kind.measure(content), limits) for kind, content in zip(kinds, contents, strict=True)
    ]
    branches = encode_sample(sample, tokenizer, lengths, add_generation_prompt)
    longest = max(len(branch.input_ids) for branch in branches)
    if sample.text is None and longest > limits.context_tokens:
        raise longer_than_context(key, longest, limits.context_tokens)
    media = tuple(kind.process(content, limits) for kind, content in zip(kinds, contents, strict=True))
    for part, kind, item, length in zip(sample.media, kinds, media, lengths, strict=True):
        if isinstance(kind, CountsTokens) and (found := kind.item_length(item, limits)) != length:
            raise SampleError(
                "slot_mismatch",
                f"{part.member} of sample {key} must fill the {length} tokens that its header promises · "
                f"found {found} tokens · save the medium anew, or leave it out",
            )
    return DecodedSample(key, sample, branches, media)
