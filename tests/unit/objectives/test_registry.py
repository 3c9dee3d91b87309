"""Losses are known by name, and what a recipe says goes over their defaults."""

from collections.abc import Iterator

import pytest

from phi4train.objectives.registry import (
    LossContext,
    NamedLoss,
    build_loss,
    known_losses,
    register_loss,
    unregister_loss,
)
from phi4train.training.losses.next_token import NextToken

OTHER = NamedLoss("other", lambda context: context, {"a": 1.0, "b": 2.0})


@pytest.fixture
def other() -> Iterator[NamedLoss]:
    register_loss(OTHER)
    yield OTHER
    unregister_loss(OTHER.name)


def test_the_recipes_settings_go_over_the_defaults_and_leave_them(other: NamedLoss) -> None:
    assert build_loss("other", {"b": 5.0}, "tokenizer") == LossContext({"a": 1.0, "b": 5.0}, "tokenizer")
    assert build_loss("other", {}, None).settings == other.settings == {"a": 1.0, "b": 2.0}


def test_a_second_loss_of_a_name_is_refused_and_the_first_one_stays(other: NamedLoss) -> None:
    for name in ("other", "next_token"):
        before = known_losses()[name]
        with pytest.raises(ValueError, match=f"found a second '{name}' · choose another name"):
            register_loss(NamedLoss(name, "nowhere:nothing"))
        assert known_losses()[name] is before


def test_a_forgotten_loss_frees_its_name() -> None:
    for _ in range(2):
        register_loss(OTHER)
        unregister_loss("other")
    assert "other" not in known_losses()


def test_what_is_known_is_a_copy(other: NamedLoss) -> None:
    known_losses().clear()
    assert {"next_token", "other"} <= known_losses().keys()


def test_every_loss_of_the_package_is_found_where_it_is_said_to_be() -> None:
    assert isinstance(build_loss("next_token", {}, None), NextToken)
    for loss in known_losses().values():
        assert build_loss(loss.name, {}, None).name == loss.name
