"""docs/configuration.md is what the schema says."""

import dataclasses
import re

from phi4train.config.annotations import all_keys, annotation_of, is_optional, required
from phi4train.config.reference import PAGE, page


def test_the_page_is_what_is_written_from_the_schema() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `python -m phi4train.config.reference`"


def test_every_key_is_there_with_a_meaning() -> None:
    told = {
        re.sub(r"\| `([^`]+)`.*", r"\1", line): line for line in page().splitlines() if line.startswith("| `")
    }
    for key in all_keys():
        annotation = annotation_of(key)
        if dataclasses.is_dataclass(required(annotation)) and not is_optional(annotation):
            assert f"## `{key}`\n" in page()
            continue
        _, kind, default, _, meaning = re.split(r"(?<!\\)\|", told[key])[1:6]
        assert kind.strip() and len(meaning.split()) > 1 and (default.strip() or kind.strip() == "text"), key


def test_ranges_defaults_and_choices_are_the_schemas() -> None:
    lines = page().splitlines()
    (row,) = (line for line in lines if line.startswith("| `optimizer.beta1`"))
    assert "| number | `0.9` | at least 0 and below 1 |" in row
    (row,) = (line for line in lines if line.startswith("| `optimizer.lr_multipliers`"))
    assert "| mapping of numbers | `{}` | at least 0 |" in row
    (row,) = (line for line in lines if line.startswith("| `resume`"))
    assert "<br>`never`: Start anew; refused when" in row and "*Machine.*" in row
    assert "| `model.lora.<name>.r` | whole number | `256` | above 0 |" in page()
