"""Words that are spoken: digits in eight languages, English numbers, and a small grammar of commands."""

import re
from collections.abc import Mapping, Sequence
from itertools import product
from random import Random

from phi4train.demo.text.arithmetic import number_word

DIGIT_WORDS: Mapping[str, Sequence[str]] = {
    "zh": ["零", "一", "二", "三", "四", "五", "六", "七", "八", "九"],
    "en": [number_word(digit) for digit in range(10)],
    "fr": ["zéro", "un", "deux", "trois", "quatre", "cinq", "siss", "sept", "huite", "neuf"],
    "de": ["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"],
    "it": ["zero", "uno", "due", "tre", "quattro", "cinque", "sei", "sette", "otto", "nove"],
    "ja": ["ぜろ", "いち", "に", "さん", "よん", "ご", "ろく", "なな", "はち", "きゅう"],
    "pt": ["zero", "um", "dois", "três", "quatro", "cinco", "seis", "sete", "oito", "nove"],
    "es": ["cero", "uno", "dos", "tres", "cuatro", "cinco", "seis", "siete", "ocho", "nueve"],
}
"""Spelled for eSpeak NG: kana, for it knows no kanji; `siss` and `huite`, else it drops their last sound."""

LANGUAGES = tuple(DIGIT_WORDS)

COMMANDS = tuple(
    " ".join(words)
    for grammar in (
        (("go", "turn", "look"), ("left", "right", "up", "down")),
        (("open", "close", "find"), ("the door", "the window", "the box")),
    )
    for words in product(*grammar)
)
"""All spoken commands."""

_PAUSE_PROBABILITY = 0.1
"""How often digits are read with a pause after each."""


def spoken_digits(digits: Sequence[int], language: str, rng: Random) -> str:
    """Words of the digits, fluent or with pauses."""
    separator = ", " if rng.random() < _PAUSE_PROBABILITY else " "
    return separator.join(DIGIT_WORDS[language][digit] for digit in digits)


def spoken_numbers(text: str) -> str:
    """An English text with its numbers as words, `7s` as `sevens`."""
    return re.sub(r"(\d+)(s?)", lambda found: _word(int(found[1]), plural=bool(found[2])), text)


def _word(number: int, plural: bool) -> str:
    word = number_word(number)
    if not plural:
        return word
    return word + ("es" if word.endswith("x") else "s")
