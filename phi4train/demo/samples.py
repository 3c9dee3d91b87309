"""What every demo family yields, and the hash that decides which samples are held out."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

IMAGE_MEMBER = "0.png"
"""Member name of a sample's only image."""


@dataclass(frozen=True)
class DemoSample:
    """One record with its media members by name (`0.png`)."""

    record: dict[str, Any]
    media: Mapping[str, bytes] = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
    """A question, its answer, and the task that the pair belongs to."""

    task: str
    question: str
    answer: str


def dialogue(
    turns: Sequence[Turn],
    task: str,
    context: str = "",
    image: bytes | None = None,
    reading: str | None = None,
    is_measured: bool = False,
) -> DemoSample:
    """A sample of user and assistant turns.

    Args:
        context: text that stands before the first question.
        image: PNG that stands before the first question.
        reading: what each token of the image shows, for the auxiliary loss; None: not known.
        is_measured: the last answer is short and the only right one, so that exact match can judge it.
    """
    opening = context + turns[0].question
    if image is None:
        return DemoSample(record_of(opening, turns, task, is_measured=is_measured))
    shown = {"type": "image", "image": IMAGE_MEMBER} | ({"reading": reading} if reading else {})
    parts = [shown, {"type": "text", "text": opening}]
    return DemoSample(record_of(parts, turns, task, is_measured=is_measured), {IMAGE_MEMBER: image})


def record_of(
    opening: str | Sequence[dict[str, Any]],
    turns: Sequence[Turn],
    task: str,
    language: str | None = None,
    is_measured: bool = False,
    target_language: str | None = None,
) -> dict[str, Any]:
    """The record of user and assistant turns, whatever media stand before them.

    Args:
        opening: text or parts in the place of the first question.
        language: what is spoken.
        is_measured: the last answer is the only right one, so that exact match can judge it.
        target_language: of a translation.
    """
    messages: list[dict[str, Any]] = []
    for turn in turns:
        messages.append({"role": "user", "content": turn.question})
        messages.append({"role": "assistant", "content": turn.answer})
    messages[0]["content"] = opening
    record: dict[str, Any] = {"messages": messages, "task": task}
    if language is not None:
        record["language"] = language
    if target_language is not None:
        record["meta"] = {"target_language": target_language}
    if is_measured:
        record["answers"] = [turns[-1].answer]
    return record


def is_held_out(content: str | bytes, fraction: float) -> bool:
    """Whether the content belongs to the held-out split: fixed by its hash, whatever the seed."""
    data = content.encode() if isinstance(content, str) else content
    position = int.from_bytes(hashlib.sha256(data).digest()[:8], "big")
    return position < fraction * 2**64
