"""The JSON object of a record, read once, whole and within bounds."""

import json
from collections import Counter
from typing import Any

from phi4train.errors import SampleError

MAX_NESTING = 64
"""How deep lists and objects of a record may lie in each other."""


def load_object(record: bytes) -> dict[str, Any]:
    """The object that JSON bytes hold.

    Raises:
        SampleError: cause `bad_json` or `bad_record`: it is none, has a key twice, or is nested too deeply.
    """
    try:
        value = json.loads(record, object_pairs_hook=_each_key_once)
    except (ValueError, RecursionError) as error:
        raise SampleError(
            "bad_json", f"the JSON member must parse · found {error} · write valid JSON"
        ) from error
    num_opened = record.count(b"[") + record.count(b"{")
    if num_opened > MAX_NESTING and _is_deeper(value, MAX_NESTING):
        raise SampleError(
            "bad_record",
            f"a record must be nested at most {MAX_NESTING} deep · found it deeper · flatten it",
        )
    if not isinstance(value, dict):
        raise SampleError(
            "bad_record",
            f"a record must be a JSON object · found {type(value).__name__} · write one object per member",
        )
    return value


def _is_deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects lie in each other more than `depth` deep; looks at level after level."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(depth):
        below = (inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer))
        level = [inner for inner in below if isinstance(inner, dict | list)]
    return bool(level)


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of two equal keys Python would drop the first."""
    value = dict(pairs)
    if len(value) < len(pairs):
        twice = sorted(name for name, number in Counter(name for name, _ in pairs).items() if number > 1)
        raise ValueError(f"more than once the keys {twice!r:.80}")
    return value
