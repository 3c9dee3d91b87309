"""Records: what parses, what does not, and the cause that is reported."""

import json
from typing import Any

import pytest

from phi4train.data.samples.records import MediaPart, TextPart, parse_sample
from phi4train.errors import SampleError

TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


def parse(record: Any) -> Any:
    return parse_sample("k", record if isinstance(record, bytes) else json.dumps(record).encode())


def test_a_text_record_keeps_its_fields() -> None:
    sample = parse({"text": "abc", "task": "lm", "language": "de", "answers": "x", "meta": {"a": 1}})
    assert (sample.text, sample.task, sample.language, sample.answers) == ("abc", "lm", "de", ("x",))
    assert sample.mode == "text" and sample.shape == "text" and sample.meta == {"a": 1}


def test_content_may_be_a_string_or_parts() -> None:
    parts = [{"type": "image", "image": "0.png"}, {"type": "text", "text": "what?"}]
    sample = parse({"messages": [{"role": "user", "content": parts}, TURNS[1]]})
    assert sample.messages[0].parts == (MediaPart("image", "0.png"), TextPart("what?"))
    assert sample.messages[1].parts == (TextPart("hello"),)


@pytest.mark.parametrize(
    ("kinds", "mode"),
    [((), "text"), (("image",), "vision"), (("audio",), "speech"), (("audio", "image"), "vision_speech")],
)
def test_the_mode_follows_from_the_media(kinds: tuple[str, ...], mode: str) -> None:
    extension = {"image": "png", "audio": "wav"}
    parts = [{"type": kind, kind: f"0.{extension[kind]}"} for kind in kinds]
    assert parse({"messages": [{"role": "user", "content": parts}, TURNS[1]]}).mode == mode


def test_preferences_take_strings_or_messages() -> None:
    sample = parse({"prompt": "q", "chosen": "good", "rejected": [{"role": "assistant", "content": "bad"}]})
    assert sample.shape == "preference"
    assert [turns[0].role for turns in (sample.preference.prompt, sample.preference.rejected)] == [
        "user",
        "assistant",
    ]


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (b"{", "bad_json"),
        (b'{"text": "one", "text": "two"}', "bad_json"),
        (b'{"text": "a", "tools": [{"name": "f", "description": "\\ud83d"}]}', "bad_text"),
        (b'{"text": "a", "tools": [{"a": {"\\udc00": 1}}]}', "bad_text"),
        (b'{"text": "one", "meta": [{"a": 1, "a": 1}]}', "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b"[" * 200_000, "bad_json"),
        ([1], "bad_record"),
        ({}, "bad_record"),
        ({"text": "a", "messages": TURNS}, "bad_record"),
        ({"text": 3}, "bad_record"),
        ({"text": "a", "txet": "b"}, "bad_record"),
        (b'{"text": "\\ud800"}', "bad_text"),
        ({"text": "a", "answers": {"a": 1}}, "bad_record"),
        ({"text": "a", "task": None}, "bad_record"),
        ({"prompt": "q", "chosen": "a"}, "bad_record"),
        (
            {
                "prompt": "q",
                "chosen": "a",
                "rejected": [{"role": "user", "content": [{"type": "image", "image": "0.png"}]}],
            },
            "bad_messages",
        ),
        ({"messages": []}, "bad_messages"),
        ({"messages": "hi"}, "bad_messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "bad_messages"),
        ({"messages": [{"role": "user", "content": 1}]}, "bad_messages"),
        ({"messages": [{"role": "user", "content": "x", "weight": 1}]}, "bad_messages"),
        ({"messages": [{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]}]}, "bad_messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image", "image": "a.exe"}]}]}, "bad_messages"),
        (
            {"messages": [{"role": "assistant", "content": [{"type": "image", "image": "a.png"}]}]},
            "bad_messages",
        ),
    ],
)
def test_whatever_does_not_hold_is_a_sample_error_with_its_cause(record: Any, cause: str) -> None:
    with pytest.raises(SampleError) as caught:
        parse(record)
    assert caught.value.cause == cause


def user(*parts: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": part} if isinstance(part, str) else part for part in parts]
    return {"messages": [{"role": "user", "content": content}, TURNS[1]]}


PICTURE, SOUND = {"type": "image", "image": "0.png"}, {"type": "audio", "audio": "0.wav"}


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        (user("<|image_1|>what?"), "placeholder_without_media"),
        (user(SOUND, "<|image_1|>what?"), "placeholder_without_media"),
        (user(PICTURE, "<|image_2|>what?"), "placeholder_without_media"),
        (user(PICTURE, "<|image_0|>what?"), "placeholder_without_media"),
        (user("<|audio_1|>"), "placeholder_without_media"),
        (user(PICTURE, "<|image_1|>what?"), "placeholder_in_text"),
        (user(SOUND, SOUND, "<|audio_2|>"), "placeholder_in_text"),
        ({"prompt": "<|image_1|>", "chosen": "a", "rejected": "b"}, "placeholder_without_media"),
        (user("<|image_|> <|picture_1|> <|image_" + "9" * 5000 + "|> <|end|>"), None),
        ({"messages": [TURNS[0], {"role": "assistant", "content": "write <|image_1|>"}]}, None),
        ({"text": "the placeholder <|image_1|>"}, None),
    ],
)
def test_placeholders_in_a_users_text_are_refused(record: Any, cause: str | None) -> None:
    if cause is None:
        parse(record)
        return
    with pytest.raises(SampleError) as caught:
        parse(record)
    assert caught.value.cause == cause


def part(**values: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [values]}]}


@pytest.mark.parametrize(
    ("record", "cause"),
    [
        ({"text": "x", "task": "t" * 201}, "bad_record"),
        ({"text": "x", "language": "de" * 200}, "bad_record"),
        ({"text": "x", "k" * 100_000: 1}, "bad_record"),
        ({"messages": [{"role": "user", "content": "x", "k" * 100_000: 1}]}, "bad_messages"),
        ({"messages": [{"role": "r" * 100_000, "content": "x"}]}, "bad_messages"),
        (part(type="image", image="i" * 100_000), "bad_messages"),
        (part(type="video", frames=["0.png"], fps=10**400), "bad_messages"),
        ({"text": "x", "tools": [[[[]]]] * 100_000, "meta": 10**400}, "bad_record"),
    ],
)  # fmt: skip
def test_whatever_is_found_the_message_stays_short(record: Any, cause: str) -> None:
    with pytest.raises(SampleError) as caught:
        parse_sample("k", json.dumps(record).encode())
    assert caught.value.cause == cause and len(str(caught.value)) < 500
