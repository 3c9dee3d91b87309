"""Modes: the kinds of media that a sample has decide its mode, and the mode its adapter."""

from collections.abc import Iterator

import pytest

from phi4train.modes import (
    Mode,
    adapter_of_kind,
    add_adapter_of_kind,
    add_mode,
    find_mode,
    find_mode_of,
    forget_kind,
    known_modes,
)


@pytest.fixture
def depth() -> Iterator[Mode]:
    mode = Mode("depth", ("depth", "image"), "speech")
    add_mode(mode)
    add_adapter_of_kind("depth", "speech")
    yield mode
    forget_kind("depth")


def test_the_released_modes_use_the_released_adapters() -> None:
    assert {mode.name: mode.adapter for mode in known_modes()} == {
        "text": None,
        "vision": "vision",
        "speech": "speech",
        "vision_speech": "vision",
    }
    assert [adapter_of_kind(kind) for kind in ("image", "audio", "smell")] == ["vision", "speech", None]


def test_media_have_a_mode_in_whichever_order_and_number_they_come() -> None:
    assert find_mode_of(["audio", "image", "image"]) == find_mode("vision_speech")
    assert find_mode_of([]) == find_mode("text")
    assert find_mode_of(["smell"]) is None and find_mode("smell") is None


def test_an_added_mode_is_known_until_one_of_its_media_is_forgotten(depth: Mode) -> None:
    assert find_mode_of(["image", "depth"]) == depth == find_mode("depth")
    with pytest.raises(AssertionError):
        add_mode(Mode("other", ("image", "depth"), None))
    before = len(known_modes())
    forget_kind("depth")
    assert (len(known_modes()), find_mode("depth"), adapter_of_kind("depth")) == (before - 1, None, None)
