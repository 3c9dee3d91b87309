"""Control tokens spelled out in texts: they train as plain characters, which is seldom what was meant."""

import json
import re
from collections.abc import Iterator
from functools import lru_cache

from phi4train.data.media.registry import media_kinds
from phi4train.data.samples.records import Sample, TextPart, media_of

_MAX_SPELLINGS = 32


class SpellingCounts:
    """How many samples spell control tokens or places of media, and which."""

    def __init__(self) -> None:
        self.num_samples = 0
        """Samples with at least one."""
        self._counts: dict[str, tuple[int, int]] = {}

    def add(self, row: int, sample: Sample) -> None:
        """Counts one sample."""
        found = spellings_in(sample)
        self.num_samples += bool(found)
        for spelling in sorted(found):
            number, first_row = self._counts.get(spelling, (0, row))
            if number or len(self._counts) < _MAX_SPELLINGS:
                self._counts[spelling] = (number + 1, first_row)

    def counted(self) -> tuple[tuple[str, int, int], ...]:
        """(spelling, number of samples, row of the first of them), of at most _MAX_SPELLINGS spellings."""
        return tuple((spelling, *counts) for spelling, counts in self._counts.items())


def spellings_in(sample: Sample) -> set[str]:
    """What in the texts of a sample looks like a token of a chat template, or a place for a medium."""
    pattern = _pattern(tuple(kind.name for kind in media_kinds()))
    return {found for text in _texts(sample) if "<" in text or "[" in text for found in pattern.findall(text)}


@lru_cache
def _pattern(media: tuple[str, ...]) -> re.Pattern[str]:
    """`<|end|>` and `<|image_1|>` of Phi and others, `<image>`, and what other templates mark turns with."""
    names = "|".join(map(re.escape, (*media, "video")))
    return re.compile(
        rf"<\|/?[A-Za-z][\w./-]{{0,40}}\|>|<(?:{names})(?:_\d{{1,4}})?>|<(?:start|end)_of_turn>|\[/?INST\]"
    )


def _texts(sample: Sample) -> Iterator[str]:
    """Everything of a sample that the tokenizer reads."""
    if sample.text is not None:
        yield sample.text
    if sample.tools:
        yield json.dumps(sample.tools, ensure_ascii=False)
    turns = sample.turns
    if sample.preference is not None:
        turns = (*turns, *sample.preference.chosen, *sample.preference.rejected)
    for turn in turns:
        for part in turn.parts:
            if isinstance(part, TextPart):
                yield part.text
            yield from (medium.reading for medium in media_of(part) if medium.reading is not None)
