"""Families of the demo: two splits of each name, as many samples as asked for, nothing in both splits."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from random import Random

import pytest

from phi4train.demo import families
from phi4train.demo.families import TEXT_HELD_OUT_FRACTION, DemoSizes, demo_families, training_passages
from phi4train.demo.samples import is_held_out

SIZES = DemoSizes(**{f.name: 3 for f in fields(DemoSizes)})
PLAYS = tuple(f"Scene {n}. Enter witch {n}." for n in range(300))
DOCS = tuple(f"Statement {n} does this and that." for n in range(300))


@pytest.fixture(autouse=True)
def few_passages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families, "_shakespeare", lambda: PLAYS)
    monkeypatch.setattr(families, "_python", lambda: DOCS)


def count(name: str) -> int:
    (family,) = (family for family in demo_families(SIZES) if family.name == name)
    return sum(1 for _ in family.samples(Random(0)))


def test_each_family_has_a_name_of_its_own_and_both_splits_but_for_small_talk() -> None:
    names = [family.name for family in demo_families(SIZES)]
    assert len(set(names)) == len(names)
    splits = Counter(name.rsplit("-", 1)[0] for name in names)
    assert {name for name, number in splits.items() if number != 2} == {"small_talk"}
    assert {name.rsplit("-", 1)[1] for name in names} == {"train", "heldout"}


def test_naming_the_families_draws_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Iterator[str]:
        raise AssertionError

    for name in ("_shakespeare", "_python", "_digits", "_words"):
        monkeypatch.setattr(families, name, fail)
    assert len(demo_families(SIZES)) > 20


@pytest.mark.parametrize(
    "name",
    [
        *("written_panels", "exercises", "small_talk", "captions", "lines", "photos", "written_multi_image"),
        *("multi_image", "video", "written_speech", "sounds"),
    ],
)
def test_a_training_family_has_as_many_samples_as_asked_for(name: str) -> None:
    assert count(f"{name}-train") == 3


@pytest.mark.parametrize(
    "name", ["captions", "lines", "written_multi_image", "multi_image", "video", "sounds"]
)
def test_a_held_out_family_has_as_many_samples_as_asked_for(name: str) -> None:
    assert count(f"{name}-heldout") == 3


def test_running_text_is_split_without_loss_and_the_tokenizer_reads_the_training_half() -> None:
    texts = {
        family.name: [sample.record["text"] for sample in family.samples(Random(0))]
        for family in demo_families(SIZES)
        if family.name.startswith(("shakespeare", "python_docs"))
    }
    for name, passages in (("shakespeare", PLAYS), ("python_docs", DOCS)):
        train, held_out = texts[f"{name}-train"], texts[f"{name}-heldout"]
        assert sorted(train + held_out) == sorted(passages) and train and held_out
        assert all(is_held_out(text, TEXT_HELD_OUT_FRACTION) for text in held_out)
    assert list(training_passages()) == texts["shakespeare-train"] + texts["python_docs-train"]
