"""The record of one question with its answer, whatever media stand before it."""

from collections.abc import Sequence
from typing import Any


def question_record(
    content: str | Sequence[dict[str, Any]],
    answer: str,
    task: str,
    language: str | None = None,
    is_measured: bool = False,
    target_language: str | None = None,
) -> dict[str, Any]:
    """A user turn of text or parts, and an assistant turn.

    Args:
        language: what is spoken.
        is_measured: the answer is the only right one, so that exact match can judge it.
        target_language: of a translation.
    """
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": answer}]
    fields: dict[str, Any] = {"messages": messages, "task": task}
    if language is not None:
        fields["language"] = language
    if target_language is not None:
        fields["meta"] = {"target_language": target_language}
    if is_measured:
        fields["answers"] = [answer]
    return fields
