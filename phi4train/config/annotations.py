"""What the schema says of its fields: their types, which may be absent, and the ranges beside them."""

import dataclasses
import types
from collections.abc import Iterator
from functools import cache
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

from phi4train.config.schema import Config
from phi4train.ranges import Range


@cache
def annotations_of(cls: type) -> dict[str, Any]:
    """By field of a dataclass, its annotation as written, ranges included."""
    return get_type_hints(cls, include_extras=True)


def is_optional(annotation: Any) -> bool:
    """Whether None is a value of it."""
    return get_origin(_without_ranges(annotation)) in (Union, types.UnionType)


def required(annotation: Any) -> Any:
    """`T` of `T | None` and of `Annotated[T, ...]`: a dataclass, list, dict or scalar."""
    bare = _without_ranges(annotation)
    if not is_optional(bare):
        return bare
    (inner,) = (arg for arg in get_args(bare) if arg is not types.NoneType)
    return required(inner)


def ranges_of(annotation: Any) -> Iterator[Range]:
    """The ranges of a number, also where it may be None."""
    if get_origin(annotation) is Annotated:
        yield from (extra for extra in annotation.__metadata__ if isinstance(extra, Range))
        annotation = _without_ranges(annotation)
    if is_optional(annotation):
        for inner in get_args(annotation):
            yield from ranges_of(inner)


def annotation_of(key: str) -> Any:
    """The type that the schema gives a dotted key; None: no such key."""
    annotation: Any = Config
    for part in key.split("."):
        inner = required(annotation)
        if dataclasses.is_dataclass(inner):
            annotation = annotations_of(inner).get(part)  # type: ignore[arg-type]
        elif get_origin(inner) is dict:
            value = get_args(inner)[1]
            # A scalar's name may hold dots (lora.vision), so that the rest of the key is the name.
            annotation = value if dataclasses.is_dataclass(value) else inner
        else:
            return None
    return annotation


@cache
def all_keys() -> tuple[str, ...]:
    """Sections and values, dotted."""

    def walk(cls: Any, prefix: str) -> Iterator[str]:
        for name, annotation in annotations_of(cls).items():
            inner = required(annotation)
            yield prefix + name
            if dataclasses.is_dataclass(inner):
                yield from walk(inner, f"{prefix}{name}.")

    return tuple(walk(Config, ""))


def _without_ranges(annotation: Any) -> Any:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation
