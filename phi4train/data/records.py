"""Records: the JSON member of a sample, parsed into a typed, frozen `Sample`.

A record holds `text`, or `messages` (role, content: a string or a list of text / image / audio parts,
optionally `tools`), or `prompt` + `chosen` + `rejected`; plus `task`, `answers`, `language`, `meta`.
It is the `messages` shape of Hugging Face datasets. Whatever does not hold is a `SampleError` with a
stable cause, so that one broken record never stops a run.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from phi4train.errors import SampleError

MEDIA_KINDS: Mapping[str, str] = {
    "png": "image",
    "jpg": "image",
    "jpeg": "image",
    "webp": "image",
    "wav": "audio",
    "flac": "audio",
    "ogg": "audio",
}
"""Kind of a media member by its extension; any other extension is refused."""

ROLES = ("system", "user", "assistant", "tool")
"""Roles a message may have; `tool` carries the result of a tool call."""

MODES = ("text", "vision", "speech", "vision_speech")
"""Modes by the media a sample has: none, images, audio, both."""

_RECORD_KEYS = frozenset(
    ("text", "messages", "tools", "prompt", "chosen", "rejected", "task", "answers", "language", "meta")
)


@dataclass(frozen=True)
class TextPart:
    """A run of text inside a message."""

    text: str


@dataclass(frozen=True)
class MediaPart:
    """A reference to a media member of the same sample.

    Args:
        kind: `image` or `audio`.
        member: `<name>.<ext>`; the member is `<key>.<name>.<ext>` in the shard.
    """

    kind: str
    member: str


Part = TextPart | MediaPart


@dataclass(frozen=True)
class Message:
    """One turn of a dialogue."""

    role: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Preference:
    """A prompt with a better and a worse continuation."""

    prompt: tuple[Message, ...]
    chosen: tuple[Message, ...]
    rejected: tuple[Message, ...]


@dataclass(frozen=True)
class Sample:
    """One record; exactly one of `text`, `messages`, `preference` is set.

    Args:
        key: name of the sample inside its shard; only ever used for messages, never for a path.
        tools: tool descriptions as JSON values, shown in the system turn.
        answers: accepted answers, for evaluation.
    """

    key: str
    text: str | None = None
    messages: tuple[Message, ...] = ()
    preference: Preference | None = None
    tools: tuple[Any, ...] = ()
    task: str = "none"
    answers: tuple[str, ...] = ()
    language: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> str:
        """`text`, `messages` or `preference`."""
        if self.preference is not None:
            return "preference"
        return "messages" if self.messages else "text"

    @property
    def media(self) -> tuple[MediaPart, ...]:
        """Media references in the order in which the prompt mentions them."""
        turns = self.preference.prompt if self.preference else self.messages
        return tuple(part for turn in turns for part in turn.parts if isinstance(part, MediaPart))

    @property
    def mode(self) -> str:
        """The sample's mode, which decides its adapter."""
        return mode_of(part.kind for part in self.media)


def mode_of(kinds: Any) -> str:
    """The mode of a sample whose media have these kinds."""
    present = set(kinds)
    return MODES[("image" in present) + 2 * ("audio" in present)]


def parse_sample(key: str, record: bytes) -> Sample:
    """The sample in the bytes of its JSON member.

    Raises:
        SampleError: with cause `bad_json`, `bad_record`, `bad_messages` or `bad_text`.
    """
    fields = _load_object(record)
    unknown = sorted(fields.keys() - _RECORD_KEYS)
    if unknown:
        raise SampleError("bad_record", f"a record has keys {sorted(_RECORD_KEYS)} · found {unknown}")
    shapes = [name for name in ("text", "messages", "prompt") if name in fields]
    if len(shapes) != 1:
        raise SampleError(
            "bad_record", f"a record has one of text, messages, prompt · found {shapes or 'none of them'}"
        )
    common = _common_fields(fields)
    if shapes == ["text"]:
        return Sample(key=key, text=_checked_text(fields["text"], "text"), **common)
    if shapes == ["messages"]:
        return Sample(key=key, messages=_parse_messages(fields["messages"], "messages"), **common)
    return Sample(key=key, preference=_parse_preference(fields), **common)


def _load_object(record: bytes) -> dict[str, Any]:
    try:
        value = json.loads(record)
    except (ValueError, RecursionError) as error:
        raise SampleError("bad_json", f"the JSON member must parse · {error}") from error
    if not isinstance(value, dict):
        raise SampleError("bad_record", f"a record is a JSON object · found {type(value).__name__}")
    return value


def _common_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    answers = fields.get("answers", [])
    if isinstance(answers, str):
        answers = [answers]
    tools = fields.get("tools") or []
    language, meta = fields.get("language"), fields.get("meta") or {}
    if not isinstance(answers, list) or not isinstance(tools, list) or not isinstance(meta, dict):
        raise SampleError("bad_record", "answers and tools are lists, meta is an object · found otherwise")
    return {
        "tools": tuple(tools),
        "task": _checked_text(fields.get("task", "none"), "task"),
        "answers": tuple(_checked_text(answer, "answers") for answer in answers),
        "language": None if language is None else _checked_text(language, "language"),
        "meta": meta,
    }


def _checked_text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise SampleError("bad_record", f"{where} is a string · found {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise SampleError("bad_text", f"{where} is valid Unicode · {error}") from error
    return value


def _parse_preference(fields: Mapping[str, Any]) -> Preference:
    missing = [name for name in ("chosen", "rejected") if name not in fields]
    if missing:
        raise SampleError("bad_record", f"a preference has prompt, chosen, rejected · missing {missing}")
    turns = {
        name: _parse_messages(
            [{"role": role, "content": fields[name]}] if isinstance(fields[name], str) else fields[name], name
        )
        for name, role in (("prompt", "user"), ("chosen", "assistant"), ("rejected", "assistant"))
    }
    return Preference(**turns)


def _parse_messages(value: Any, where: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise SampleError("bad_messages", f"{where} is a list of at least one message · found {value!r:.80}")
    return tuple(_parse_message(message, f"{where}[{i}]") for i, message in enumerate(value))


def _parse_message(value: Any, where: str) -> Message:
    if not isinstance(value, dict) or value.keys() != {"role", "content"}:
        found = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise SampleError("bad_messages", f"{where} has role and content, nothing else · found {found}")
    role, content = value["role"], value["content"]
    if role not in ROLES:
        raise SampleError("bad_messages", f"{where}.role is one of {ROLES} · found {role!r:.40}")
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise SampleError("bad_messages", f"{where}.content is a string or a list of parts")
    parts = tuple(_parse_part(part, f"{where}.content[{i}]") for i, part in enumerate(content))
    if role == "assistant" and any(isinstance(part, MediaPart) for part in parts):
        raise SampleError("bad_messages", f"{where}: an assistant turn has no media · found some")
    return Message(role, parts)


def _parse_part(value: Any, where: str) -> Part:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in ("text", "image", "audio") or value.keys() != {"type", kind}:
        raise SampleError("bad_messages", f"{where} is {{type, text | image | audio}} · found {value!r:.80}")
    content = _checked_text(value[kind], f"{where}.{kind}")
    if kind == "text":
        return TextPart(content)
    extension = content.rpartition(".")[2].lower()
    if MEDIA_KINDS.get(extension) != kind:
        known = sorted(ext for ext, media in MEDIA_KINDS.items() if media == kind)
        raise SampleError("bad_messages", f"{where}.{kind} ends in one of {known} · found {content!r:.80}")
    return MediaPart(kind, content)
