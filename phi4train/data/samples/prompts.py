"""Prompts: Phi-4's chat template, with token ids and labels built together.

    <|system|>text<|tool|>[...]<|/tool|><|end|><|user|>text, media<|end|><|assistant|>text<|end|><|endoftext|>
    targets:                                                                          ~~~~~~~~~~~~~~~~~~~~~~~~

Targets are the content and `<|end|>` of every assistant turn, and the final `<|endoftext|>`; of a `text`
record, everything. Labels are shifted: position t carries the id that it must predict. The very last id
predicts nothing and is seen by nobody, so it is a label only. Source: tokenizer_config.json of
Phi-4-mini-instruct.

A sample has branches, each a sequence of its own: a preference two, prompt + chosen and prompt + rejected,
both with the media of the prompt and with targets in the continuation alone; every other sample one.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from phi4train.batch import IGNORE_INDEX
from phi4train.data.media.kind import MediaKind
from phi4train.data.media.registry import media_kind
from phi4train.data.samples.records import MediaPart, Message, Sample, TextPart, media_of
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.errors import SampleError

CHAT_TEMPLATE_VERSION = 1
"""Raised whenever the same record gives other ids or labels; an index remembers it."""

UNSUPPORTED_RECORD = "unsupported_record"
"""Cause of a sample with another number of branches than the objective takes."""

LONGER_THAN_CONTEXT = "longer_than_context"
"""Cause of a sample, other than a text, with a branch that no context holds."""

Ids = NDArray[np.int32]


@dataclass(frozen=True)
class MediaSlot:
    """The run of slot tokens that one media item fills: ids[start : start + length].

    `reading` holds the id that each of them reads (not shifted); None where the record does not say.
    """

    part: MediaPart
    start: int
    length: int
    reading: Ids | None = None


@dataclass(frozen=True)
class EncodedSample:
    """Token ids of a branch of a sample with the shifted label of each, int32, and where its media go."""

    input_ids: Ids
    labels: Ids
    slots: tuple[MediaSlot, ...]

    @property
    def num_targets(self) -> int:
        """Positions that carry a label."""
        return int((self.labels != IGNORE_INDEX).sum())

    def piece(self, start: int, length: int) -> "EncodedSample":
        """Tokens [start, start + length) of a sample without media."""
        assert not self.slots, "a sample with media is never cut"
        stop = start + length
        return EncodedSample(self.input_ids[start:stop], self.labels[start:stop], ())


def encode_sample(
    sample: Sample, tokenizer: Tokenizer, slot_lengths: Sequence[int], add_generation_prompt: bool = False
) -> tuple[EncodedSample, ...]:
    """Ids, shifted labels and media slots of each branch of one sample, that of `chosen` first.

    Args:
        slot_lengths: tokens of each item of `sample.media`, in order; every branch has all of them.
        add_generation_prompt: open a new assistant turn in place of the answer, for evaluation: of the last
            turn of `messages` if it is the assistant's, of the continuations of a preference. There is one
            branch then, no position carries a label, and no slot a reading.

    Raises:
        SampleError: cause `no_targets`, `no_prompt` or `reading_mismatch`.
    """
    assert len(slot_lengths) == len(sample.media), "one length per media item"
    if add_generation_prompt:
        writer = _PromptWriter(tokenizer, slot_lengths, has_readings=False)
        return (_encode_prompt(sample, writer),)
    continuations: list[tuple[Message, ...]] = [()]
    if sample.preference is not None:
        continuations = [sample.preference.chosen, sample.preference.rejected]
    return tuple(
        _encode_branch(sample, continuation, _PromptWriter(tokenizer, slot_lengths, has_readings=True))
        for continuation in continuations
    )


def unsupported_record(num_branches: int) -> SampleError:
    """The error of a record with another number of branches than these, which the objective takes."""
    wanted, found = "text or messages", "prompt + chosen + rejected"
    if num_branches > 1:
        wanted, found = found, wanted
    return SampleError(
        UNSUPPORTED_RECORD,
        f"a record must be of {wanted} for this objective · found {found} · leave the record out, or choose "
        "an objective that takes it",
    )


def longer_than_context(key: str, num_tokens: int, context_tokens: int) -> SampleError:
    """The error of a sample whose longest branch has so many tokens, media included."""
    return SampleError(
        LONGER_THAN_CONTEXT,
        f"sample {key} must fit into the context · found {num_tokens} tokens, limit {context_tokens} · raise "
        "data.context_tokens, shorten the sample or leave it out",
    )


def _encode_branch(
    sample: Sample, continuation: tuple[Message, ...], writer: "_PromptWriter"
) -> EncodedSample:
    """The sample, or its prompt with one of its continuations."""
    eos_token_id = writer.tokenizer.eos_token_id
    if sample.text is not None:
        writer.add_text(sample.text, is_target=True)
        writer.add_token(eos_token_id, is_target=bool(sample.text))
    else:
        turns = (*sample.turns, *continuation)
        num_given = len(sample.turns) if continuation else 0
        _write_turns(turns, sample.tools, writer, num_given)
        writer.add_token(eos_token_id, is_target=turns[-1].role == "assistant")
    encoded = writer.shifted()
    if encoded.num_targets == 0:
        raise SampleError(
            "no_targets",
            "a training sample must have text, or an assistant turn · found neither · add one, or leave the "
            "sample out",
        )
    return encoded


def _encode_prompt(sample: Sample, writer: "_PromptWriter") -> EncodedSample:
    turns = sample.turns
    if sample.messages and turns[-1].role == "assistant":
        turns = turns[:-1]
    if not turns:
        raise SampleError(
            "no_prompt",
            "a prompt must have messages before the answer · found none · add one, or leave the sample out",
        )
    _write_turns(turns, sample.tools, writer, num_given=len(turns))
    writer.add_token(writer.tokenizer.role_token_ids["assistant"], is_target=False)
    return writer.without_labels()


def _write_turns(
    messages: Sequence[Message], tools: Sequence[object], writer: "_PromptWriter", num_given: int
) -> None:
    """Writes turns; those of the assistant are targets but for the first `num_given` messages."""
    turns = [(turn, turn.role == "assistant" and i >= num_given) for i, turn in enumerate(messages)]
    if tools and messages[0].role != "system":
        turns.insert(0, (Message("system", ()), False))
    for position, (turn, is_target) in enumerate(turns):
        writer.add_token(writer.tokenizer.role_token_ids[turn.role], is_target=False)
        for part in turn.parts:
            if isinstance(part, TextPart):
                writer.add_text(part.text, is_target)
            for medium in media_of(part):
                writer.add_media(medium)
        if tools and position == 0:
            writer.add_special("<|tool|>")
            writer.add_text(json.dumps(list(tools), ensure_ascii=False), is_target=False)
            writer.add_special("<|/tool|>")
        writer.add_token(writer.tokenizer.end_token_id, is_target)


class _PromptWriter:
    """Collects ids and, beside each, whether it is a target: the two cannot drift apart."""

    def __init__(self, tokenizer: Tokenizer, slot_lengths: Sequence[int], has_readings: bool) -> None:
        self.tokenizer = tokenizer
        self._has_readings = has_readings
        self._slot_lengths = iter(slot_lengths)
        self._ids: list[int] = []
        self._is_target: list[bool] = []
        self._slots: list[MediaSlot] = []

    def add_token(self, token: int, is_target: bool) -> None:
        self._ids.append(token)
        self._is_target.append(is_target)

    def add_special(self, name: str) -> None:
        self.add_token(self.tokenizer.special_token_ids[name], is_target=False)

    def add_text(self, text: str, is_target: bool) -> None:
        ids = self.tokenizer.encode(text)
        self._ids.extend(ids)
        self._is_target.extend([is_target] * len(ids))

    def add_media(self, part: MediaPart) -> None:
        length = next(self._slot_lengths)
        self._slots.append(MediaSlot(part, len(self._ids), length, self._reading(part, length)))
        self._ids.extend([slot_token_id(media_kind(part.kind), self.tokenizer)] * length)
        self._is_target.extend([False] * length)

    def _reading(self, part: MediaPart, length: int) -> Ids | None:
        is_length_known = length > 0  # not while an index is built
        if part.reading is None or not self._has_readings or not is_length_known:
            return None
        ids = self.tokenizer.encode(part.reading)
        if len(ids) != length:
            raise SampleError(
                "reading_mismatch",
                f"the reading of {part.member} must have one token for each of its {length} slots · "
                f"found {len(ids)} · mend the record, or leave its reading out",
            )
        return np.asarray(ids, dtype=np.int32)

    def shifted(self) -> EncodedSample:
        """All ids but the last; the label of each is the next id where that is a target."""
        ids = np.asarray(self._ids, dtype=np.int32)
        next_is_target = np.asarray(self._is_target[1:], dtype=bool)
        labels = np.where(next_is_target, ids[1:], np.int32(IGNORE_INDEX)).astype(np.int32)
        return EncodedSample(ids[:-1], labels, tuple(self._slots))

    def without_labels(self) -> EncodedSample:
        ids = np.asarray(self._ids, dtype=np.int32)
        return EncodedSample(ids, np.full_like(ids, IGNORE_INDEX), tuple(self._slots))


def slot_token_id(kind: MediaKind, tokenizer: Tokenizer) -> int:
    """The id that holds this modality's places in a prompt.

    Raises:
        ValueError: the tokenizer has no such special token.
    """
    if kind.slot_token not in tokenizer.special_token_ids:
        raise ValueError(
            f"slot_token of the media kind '{kind.name}' must be a special token of the tokenizer · found "
            f"{kind.slot_token} · choose one of {sorted(tokenizer.special_token_ids)}"
        )
    return tokenizer.special_token_ids[kind.slot_token]
