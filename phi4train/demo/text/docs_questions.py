"""Questions about Python, answered with the first sentence of its own documentation."""

import re
from collections.abc import Iterator
from keyword import kwlist
from random import Random

from phi4train.demo.samples import DemoSample, Turn, dialogue, is_held_out
from phi4train.demo.text.passages import documented_names

LONGEST_ANSWER_CHARACTERS = 300

_KEYWORD_WORDINGS = (
    "What does the keyword `{name}` do?",
    "What does `{name}` do in Python?",
    "Explain the keyword `{name}`.",
    "What is `{name}` for?",
)
_NAME_WORDINGS = (
    "What does `{name}` do?",
    "What is `{name}`?",
    "Explain `{name}` in one sentence.",
    "What is `{name}` for?",
)


def docs_dialogues(rng: Random, held_out_fraction: float, held_out: bool) -> Iterator[DemoSample]:
    """Dialogues of one split: in training, every third asks a follow-up about another name.

    The answer decides the split, so that no held-out answer is seen in training. Task `chat_docs`.
    """
    turns = [
        turn
        for turn in (*_keyword_turns(), *_name_turns(rng))
        if is_held_out(turn.answer, held_out_fraction) == held_out
    ]
    for turn in turns:
        asks_more = not held_out and rng.random() < 1 / 3
        yield dialogue([turn, rng.choice(turns)] if asks_more else [turn], task="chat_docs")


def _keyword_turns() -> Iterator[Turn]:
    from pydoc_data.topics import topics

    for name in kwlist:
        answer = first_sentence(_without_heading(topics[name])) if name in topics else None
        if answer:
            for wording in _KEYWORD_WORDINGS:
                yield Turn("docs", wording.format(name=name), answer)


def _name_turns(rng: Random) -> Iterator[Turn]:
    for name, docstring in documented_names():
        answer = first_sentence(docstring)
        if answer:
            yield Turn("docs", rng.choice(_NAME_WORDINGS).format(name=name), answer)


def first_sentence(text: str) -> str | None:
    """The first sentence of the first paragraph on one line; None when there is no proper one."""
    paragraph = " ".join(re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0].split())
    match = re.match(r"[A-Z\"`'].*?[.:](?=\s|$)", paragraph)
    if match is None or not 20 <= len(match[0]) <= LONGEST_ANSWER_CHARACTERS:
        return None
    return re.sub(r":$", ".", match[0])


def _without_heading(topic: str) -> str:
    return re.sub(r"\A.*\n\*+\n+", "", topic)
