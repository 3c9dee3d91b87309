import pytest

from phi4train.curriculum.graph import order_stages
from phi4train.errors import ConfigError

PARENTS = {"sft": ["lm"], "lm": [], "vision": ["sft"], "audio": ["sft"], "joint": ["vision", "audio"]}


def test_parents_come_before_their_children() -> None:
    order = order_stages(list(PARENTS), PARENTS)
    assert sorted(order) == sorted(PARENTS)
    assert all(order.index(p) < order.index(stage) for stage, parents in PARENTS.items() for p in parents)


def test_branches_keep_the_order_in_which_they_are_listed() -> None:
    by_branch = ["lm", "sft", "vision", "later_vision", "audio", "joint"]
    parents = {**PARENTS, "later_vision": ["vision"], "joint": ["later_vision", "audio"]}
    assert order_stages(by_branch, parents) == by_branch
    audio_first = ["lm", "sft", "audio", "vision", "later_vision", "joint"]
    assert order_stages(audio_first, parents) == audio_first


def test_a_missing_parent_is_named() -> None:
    with pytest.raises(ConfigError, match="found `vision` without its parent `sft`"):
        order_stages(["vision"], PARENTS)


def test_a_circle_is_named() -> None:
    with pytest.raises(ConfigError, match=r"in a circle · found .*a.*b"):
        order_stages(["a", "b"], {"a": ["b"], "b": ["a"]})
