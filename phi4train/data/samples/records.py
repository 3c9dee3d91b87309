"""Records: the JSON member of a sample, parsed into a typed, frozen `Sample`.

A record holds `text`, or `messages` (role, content: a string or a list of parts, optionally `tools`), or
`prompt` + `chosen` + `rejected`; plus `task`, `answers`, `language`, `meta`. It is the `messages` shape of
Hugging Face datasets. Whatever does not hold is a `SampleError` with a stable cause, so that one broken
record never stops a run.

    {"type": "text", "text": "what?"}
    {"type": "image", "image": "0.png"}    likewise audio, and every other registered kind of media
    {"type": "video", "frames": ["0.jpg", "1.jpg"], "fps": 2.0}    a sequence of images; fps may be missing

A medium that is no frame of a video may have a `reading`, what each of its slot tokens shows or says:
a text with as many tokens, for `auxiliary.reading_weight`.

Media are parts, never text: a user's text with a placeholder such as `<|image_1|>` is refused, for it comes
from a converter that forgot to make parts of it.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from phi4train.data.media.registry import find_media_kind, media_kinds, mode_of
from phi4train.data.samples.json_objects import load_object
from phi4train.errors import SampleError

RECORD_VERSION = 1
"""Raised when the same bytes become another sample: what was indexed and trained before was other data."""

ROLES = ("system", "user", "assistant", "tool")
"""Roles a message may have; `tool` carries the result of a tool call."""

MAX_FPS = 1000
"""Most frames per second of a video."""
MAX_NAME = 200
"""Longest name of a task or language, in characters."""

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
        kind: name of its MediaKind.
        member: `<name>.<ext>`; the member is `<key>.<name>.<ext>` in the shard.
        reading: what its slot tokens show or say, one text token each; None: not known.
    """

    kind: str
    member: str
    reading: str | None = None


@dataclass(frozen=True)
class VideoPart:
    """A sequence of images, shown one after the other.

    Args:
        frames: images in the order of time.
        fps: frames per second, or None when the record does not say.
    """

    frames: tuple[MediaPart, ...]
    fps: float | None = None


Part = TextPart | MediaPart | VideoPart

_PLACEHOLDER = re.compile(r"<\|([a-z_]+)_(\d{1,9})\|>")


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
    def num_branches(self) -> int:
        """Sequences that it trains: two of a preference, prompt + chosen and prompt + rejected, else one."""
        return 1 if self.preference is None else 2

    @property
    def shape(self) -> str:
        """`text`, `messages` or `preference`."""
        if self.preference is not None:
            return "preference"
        return "messages" if self.messages else "text"

    @cached_property
    def media(self) -> tuple[MediaPart, ...]:
        """Media references in the order in which the prompt mentions them, frames of videos included."""
        return tuple(medium for turn in self.turns for part in turn.parts for medium in media_of(part))

    @property
    def turns(self) -> tuple[Message, ...]:
        """The turns that may have media."""
        return self.preference.prompt if self.preference else self.messages

    @cached_property
    def mode(self) -> str:
        """The sample's mode, which decides its adapter. Raises SampleError: `no_mode`."""
        return mode_of(part.kind for part in self.media)


def media_of(part: Part) -> tuple[MediaPart, ...]:
    """The media of one part of a message."""
    if isinstance(part, VideoPart):
        return part.frames
    return (part,) if isinstance(part, MediaPart) else ()


def parse_sample(key: str, record: bytes) -> Sample:
    """The sample in the bytes of its JSON member.

    Raises:
        SampleError: with cause `bad_json`, `bad_record`, `bad_messages`, `bad_text`,
            `placeholder_without_media` or `placeholder_in_text`.
    """
    fields = load_object(record)
    unknown = sorted(fields.keys() - _RECORD_KEYS)
    if unknown:
        raise SampleError(
            "bad_record",
            f"a record must have no keys but {sorted(_RECORD_KEYS)} · found {unknown!s:.200} · rename "
            "them, or move them into meta",
        )
    shapes = [name for name in ("text", "messages", "prompt") if name in fields]
    if len(shapes) != 1:
        raise SampleError(
            "bad_record",
            f"a record must have one of text, messages, prompt · found {shapes or 'none of them'} · "
            "keep one, with chosen and rejected if that is prompt",
        )
    common = _common_fields(fields)
    if shapes == ["text"]:
        return Sample(key=key, text=_checked_text(fields["text"], "text"), **common)
    if shapes == ["messages"]:
        sample = Sample(key=key, messages=_parse_messages(fields["messages"], "messages"), **common)
    else:
        sample = Sample(key=key, preference=_parse_preference(fields), **common)
    _refuse_placeholders(sample)
    return sample


def _refuse_placeholders(sample: Sample) -> None:
    """Refuses `<|image_1|>` in a user's text, which would be spelled out as ordinary characters."""
    for turn in sample.turns:
        for part in turn.parts:
            if turn.role == "user" and isinstance(part, TextPart) and "<|" in part.text:
                _refuse_placeholders_in(part.text, sample)


def _refuse_placeholders_in(text: str, sample: Sample) -> None:
    for name, number in (found.groups() for found in _PLACEHOLDER.finditer(text)):
        if find_media_kind(name) is None:
            continue
        present = sum(part.kind == name for part in sample.media)
        cause = "placeholder_in_text" if 1 <= int(number) <= present else "placeholder_without_media"
        raise SampleError(
            cause,
            f"media must be parts of a message, never text · found <|{name}_{number}|> and {present} {name} "
            f"parts · write {{type: {name}, {name}: <member>}} in its place",
        )


def _common_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    answers = fields.get("answers", [])
    if isinstance(answers, str):
        answers = [answers]
    tools = fields.get("tools") or []
    language, meta = fields.get("language"), fields.get("meta") or {}
    if not isinstance(answers, list) or not isinstance(tools, list) or not isinstance(meta, dict):
        found = ", ".join(type(value).__name__ for value in (answers, tools, meta))
        raise SampleError(
            "bad_record",
            f"answers and tools must be lists, and meta an object · found {found} · mend what is another",
        )
    return {
        "tools": _checked_tools(tools),
        "task": _checked_name(fields.get("task", "none"), "task"),
        "answers": tuple(_checked_text(answer, "answers") for answer in answers),
        "language": None if language is None else _checked_name(language, "language"),
        "meta": meta,
    }


def _checked_tools(tools: list[Any]) -> tuple[Any, ...]:
    """Tools whose every text, names of keys too, the tokenizer can read: they are written into the prompt."""
    _checked_text(json.dumps(tools, ensure_ascii=False), "tools")
    return tuple(tools)


def _checked_name(value: Any, where: str) -> str:
    name = _checked_text(value, where)
    if len(name) > MAX_NAME:
        raise SampleError(
            "bad_record",
            f"{where} must have at most {MAX_NAME} characters · found {len(name):,} · name what kind it is",
        )
    return name


def _checked_text(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise SampleError(
            "bad_record", f"{where} must be a string · found {type(value).__name__} · write it as one"
        )
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise SampleError(
            "bad_text", f"{where} must be valid Unicode · found {error} · remove the lone surrogates"
        ) from error
    return value


def _parse_preference(fields: Mapping[str, Any]) -> Preference:
    missing = [name for name in ("chosen", "rejected") if name not in fields]
    if missing:
        raise SampleError(
            "bad_record",
            f"a preference must have prompt, chosen, rejected · found no {' and '.join(missing)} · add what "
            "is missing, or make it messages",
        )
    turns = {
        name: _parse_messages(
            [{"role": role, "content": fields[name]}] if isinstance(fields[name], str) else fields[name], name
        )
        for name, role in (("prompt", "user"), ("chosen", "assistant"), ("rejected", "assistant"))
    }
    for name in ("chosen", "rejected"):
        if any(media_of(part) for turn in turns[name] for part in turn.parts):
            raise SampleError(
                "bad_messages",
                f"{name} must have no media · found some · move them into the prompt, for both",
            )
    return Preference(**turns)


def _parse_messages(value: Any, where: str) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise SampleError(
            "bad_messages",
            f"{where} must be a list of at least one message · found {value!r:.80} · write {{role, content}} "
            "for each turn",
        )
    return tuple(_parse_message(message, f"{where}[{i}]") for i, message in enumerate(value))


def _parse_message(value: Any, where: str) -> Message:
    if not isinstance(value, dict) or value.keys() != {"role", "content"}:
        found = sorted(value) if isinstance(value, dict) else type(value).__name__
        raise SampleError(
            "bad_messages",
            f"{where} must have role and content, nothing else · found {found!s:.200} · add what is "
            "missing, and move the rest into the record's meta",
        )
    role, content = value["role"], value["content"]
    if role not in ROLES:
        raise SampleError(
            "bad_messages", f"{where}.role must be one of {ROLES} · found {role!r:.40} · choose one of them"
        )
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise SampleError(
            "bad_messages",
            f"{where}.content must be a string or a list of parts · found {type(content).__name__} · write "
            "it as one of the two",
        )
    parts = tuple(_parse_part(part, f"{where}.content[{i}]") for i, part in enumerate(content))
    if role == "assistant" and any(media_of(part) for part in parts):
        raise SampleError(
            "bad_messages",
            f"{where} must have no media, as an assistant turn · found some · move them into the user's turn",
        )
    return Message(role, parts)


def _parse_part(value: Any, where: str) -> Part:
    name = value.get("type") if isinstance(value, dict) else None
    if name == "video":
        return _parse_video(value, where)
    optional = set() if name == "text" else {"reading"}
    if not isinstance(name, str) or value.keys() - optional != {"type", name}:
        raise SampleError(
            "bad_messages",
            f"{where} must be {{type, <type>}} · found {value!r:.80} · write for example "
            "{type: text, text: <text>}",
        )
    if name == "text":
        return TextPart(_checked_text(value[name], f"{where}.{name}"))
    part = _parse_media(name, value[name], where)
    if "reading" in value:
        return replace(part, reading=_checked_text(value["reading"], f"{where}.reading"))
    return part


def _parse_media(name: str, member: Any, where: str) -> MediaPart:
    kind = find_media_kind(name)
    if kind is None:
        known = ["text", "video", *(kind.name for kind in media_kinds())]
        raise SampleError(
            "bad_messages",
            f"{where}.type must be one of {known} · found {name!r:.40} · choose one of them, or import the "
            "modality that adds it",
        )
    member = _checked_text(member, f"{where}.{name}")
    if member.rpartition(".")[2].lower() not in kind.extensions:
        raise SampleError(
            "bad_messages",
            f"{where}.{name} must end in one of {sorted(kind.extensions)} · found {member!r:.80} · convert "
            "the member, and name it so here and in the shard",
        )
    return MediaPart(name, member)


def _parse_video(value: Mapping[str, Any], where: str) -> VideoPart:
    frames, fps = value.get("frames"), value.get("fps")
    is_rate = isinstance(fps, int | float) and not isinstance(fps, bool) and 0 < fps <= MAX_FPS
    if value.keys() - {"fps"} != {"type", "frames"} or not isinstance(frames, list) or not frames:
        raise SampleError(
            "bad_messages",
            f"{where} must be {{type, frames: [...], fps}} · found {value!r:.80} · name at least one frame; "
            "fps may be left out",
        )
    if fps is not None and not is_rate:
        raise SampleError(
            "bad_messages",
            f"{where}.fps must be above 0 and at most {MAX_FPS} · found {fps!r:.40} · correct it, or leave "
            "it out",
        )
    media = tuple(_parse_media("image", frame, f"{where}.frames[{i}]") for i, frame in enumerate(frames))
    return VideoPart(media, None if fps is None else float(fps))
