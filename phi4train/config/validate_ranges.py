"""Checks every number of a configuration against the ranges that stand beside its field."""

import dataclasses
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from phi4train.config.annotations import annotations_of, ranges_of, required
from phi4train.config.schema import Config


def range_problems(config: Config) -> Iterator[str]:
    """The numbers that leave their range, each with its key as a user types it."""
    return _problems(config, Config, "")


def _problems(value: Any, annotation: Any, key: str) -> Iterator[str]:
    if value is None:
        return
    kind = required(annotation)
    if dataclasses.is_dataclass(kind):
        for name, inner in annotations_of(kind).items():  # type: ignore[arg-type]
            yield from _problems(getattr(value, name), inner, f"{key}.{name}" if key else name)
    elif get_origin(kind) is dict:
        for name, item in value.items():
            yield from _problems(item, get_args(kind)[1], f"{key}.{name}")
    elif get_origin(kind) is list:
        for item in value:
            yield from _problems(item, get_args(kind)[0], key)
    else:
        ranges = list(ranges_of(annotation))
        if any(value not in allowed for allowed in ranges):
            yield f"{key} must be {' and '.join(map(str, ranges))} · found {value} · choose a number that is"
