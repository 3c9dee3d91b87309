"""The JSON of a record is one object, each key once, no deeper than a person would write."""

import json

import pytest

from phi4train.data.samples.json_objects import MAX_NESTING, load_object
from phi4train.errors import SampleError


def nested(depth: int, form: str) -> bytes:
    """An object with lists or objects in it, `depth` deep all together."""
    opening, closing = {"list": ("[", "]"), "object": ('{"a":', "}")}[form]
    return ('{"meta":' + opening * (depth - 1) + "1" + closing * (depth - 1) + "}").encode()


@pytest.mark.parametrize("form", ["list", "object"])
def test_nesting_has_a_bound_whatever_python_could_read(form: str) -> None:
    assert "meta" in load_object(nested(MAX_NESTING, form))
    for depth in (MAX_NESTING + 1, 900, 2_000, 100_000):
        with pytest.raises(SampleError) as caught:
            load_object(nested(depth, form))
        assert caught.value.cause in ("bad_record", "bad_json")
        assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)


def test_many_values_beside_each_other_are_not_deep() -> None:
    wide = {"meta": {"a": [[i] for i in range(1000)]}}
    assert load_object(json.dumps(wide).encode()) == wide
    assert load_object(b'{"text": "' + b"[" * 1000 + b'"}') == {"text": "[" * 1000}


@pytest.mark.parametrize(
    ("record", "cause", "found"),
    [
        (b"", "bad_json", "Expecting value"),
        (b"{", "bad_json", "Expecting property name"),
        (b"\xff", "bad_json", "decode"),
        (b"[]", "bad_record", "found list"),
        (b"1", "bad_record", "found int"),
        (b'{"a": 1, "a": 2}', "bad_json", "more than once the keys ['a']"),
        (b'{"a": {"b": 1, "b": 1}}', "bad_json", "more than once the keys ['b']"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "bad_json", "4300 digits"),
    ],
)
def test_what_is_no_object_is_a_bad_sample(record: bytes, cause: str, found: str) -> None:
    with pytest.raises(SampleError) as caught:
        load_object(record)
    assert caught.value.cause == cause and found in str(caught.value)


def test_numbers_that_no_computer_holds_are_read_as_python_reads_them() -> None:
    assert load_object(b'{"a": 1' + b"0" * 400 + b"}") == {"a": 10**400}
