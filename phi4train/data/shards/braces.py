"""Brace patterns of shards (`{000000..000003}`, `{a,b}`), counted before they are expanded."""

import re
from collections.abc import Iterator, Sequence

from braceexpand import braceexpand

from phi4train.errors import ManifestError

MAX_SHARDS = 1_000_000
"""Most shards that the patterns of a manifest may name."""

_RANGE = re.compile(r"(-?\d+)\.\.(-?\d+)(?:\.\.(-?\d+))?")
_MAX_DIGITS = 18
_TOO_MANY = 10**15


def expand_braces(pattern: str) -> list[str]:
    """The names that a pattern stands for, in its order.

    Raises:
        ManifestError: braces are not balanced, or stand for more than MAX_SHARDS names.
    """
    try:
        require_few_shards([pattern])
        return list(braceexpand(pattern))
    except (ValueError, RecursionError) as error:
        raise ManifestError(
            f"braces of a shard pattern must be balanced · found '{pattern:.200}' · mend it"
        ) from error


def require_few_shards(patterns: Sequence[str], key: str = "shard patterns") -> None:
    """Refuses patterns that stand for more than MAX_SHARDS names together.

    Raises:
        ManifestError: they do; begins with `key`.
    """
    try:
        numbers = [count_expanded(pattern) for pattern in patterns]
    except RecursionError as error:
        raise ManifestError(
            f"{key} must nest their braces as a person would · found them deeper · write them out"
        ) from error
    if (number := sum(numbers)) > MAX_SHARDS:
        longest = patterns[numbers.index(max(numbers))]
        raise ManifestError(
            f"{key} must name at most {MAX_SHARDS:,} shards · found {number:,}, most of them in "
            f"'{longest:.80}' · narrow its range"
        )


def count_expanded(pattern: str) -> int:
    """How many names a pattern stands for, at most _TOO_MANY; of one with unbalanced braces, any number."""
    number = 1
    for inside in _groups(pattern):
        number = min(number * _count_group(inside), _TOO_MANY)
    return number


def _count_group(inside: str) -> int:
    """How many texts `{inside}` stands for."""
    alternatives = _split(inside)
    if len(alternatives) > 1:
        return sum(count_expanded(alternative) for alternative in alternatives)
    found = _RANGE.fullmatch(inside)
    if found is None:
        return max(count_expanded(inside), 26 if re.fullmatch(r"[a-zA-Z]\.\.[a-zA-Z].*", inside) else 1)
    if max(len(digits or "") for digits in found.groups()) > _MAX_DIGITS:
        return MAX_SHARDS + 1
    start, stop, step = (int(digits or 1) for digits in found.groups())
    return abs(stop - start) // max(abs(step), 1) + 1


def _groups(text: str) -> Iterator[str]:
    """What stands inside the outermost braces."""
    depth = start = 0
    for position, sign in _signs(text):
        if sign == "{":
            depth += 1
            start = position + 1 if depth == 1 else start
        elif sign == "}" and depth > 0:
            depth -= 1
            if depth == 0:
                yield text[start:position]


def _split(text: str) -> list[str]:
    """The parts between commas that are in no inner braces."""
    depth, parts, start = 0, [], 0
    for position, sign in _signs(text):
        depth += {"{": 1, "}": -1}.get(sign, 0)
        if sign == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    return [*parts, text[start:]]


def _signs(text: str) -> Iterator[tuple[int, str]]:
    """Characters with their positions, but for those behind a backslash."""
    position = 0
    while position < len(text):
        if text[position] != "\\":
            yield position, text[position]
        position += 2 if text[position] == "\\" else 1
