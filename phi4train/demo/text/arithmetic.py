"""Small exercises in text: reading back, adding, comparing, number words."""

from collections.abc import Callable, Iterator, Mapping
from random import Random

from phi4train.demo.samples import DemoSample, Turn, dialogue, is_held_out

HELD_OUT_FRACTION = 0.1
"""Share of all exercises (by their numbers) that only held-out samples may use."""

_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
    "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")

_Exercise = tuple[str, tuple[str, ...], str]
"""What decides the split, paraphrases of the question, the answer."""


def number_word(number: int) -> str:
    """The English word of 0 <= number <= 99."""
    if number < 20:
        return _ONES[number]
    tens, ones = divmod(number, 10)
    return _TENS[tens - 2] + (f"-{_ONES[ones]}" if ones else "")


def _add(rng: Random) -> _Exercise:
    a, b = rng.randrange(51), rng.randrange(51)
    wordings = (f"What is {a} + {b}?", f"What is {a} plus {b}?", f"Add {a} and {b}.")
    return f"{min(a, b)}+{max(a, b)}", wordings, str(a + b)


def _add_digits(rng: Random) -> _Exercise:
    a, b = rng.randrange(10), rng.randrange(10)
    return f"{min(a, b)}+{max(a, b)}", (f"What is {a} + {b}?", f"What is the sum of {a} and {b}?"), str(a + b)


def _subtract(rng: Random) -> _Exercise:
    b, a = sorted((rng.randrange(51), rng.randrange(51)))
    return f"{a}-{b}", (f"What is {a} - {b}?", f"What is {a} minus {b}?", f"Take {b} from {a}."), str(a - b)


def _compare(rng: Random) -> _Exercise:
    a, b = rng.sample(range(100), 2)
    wordings = (f"Which is larger, {a} or {b}?", f"Which number is larger: {a} or {b}?")
    return f"{min(a, b)}?{max(a, b)}", wordings, str(max(a, b))


def _compare_yes_no(rng: Random) -> _Exercise:
    a, b = rng.sample(range(100), 2)
    return f"{min(a, b)}?{max(a, b)}", (f"Is {a} larger than {b}?",), "yes" if a > b else "no"


def _count(rng: Random) -> _Exercise:
    palette = rng.sample(range(10), rng.randint(2, 4))
    digits = [rng.choice(palette) for _ in range(rng.randint(3, 8))]
    digit = rng.choice(palette)
    listed = " ".join(map(str, digits))
    wordings = (f"How many {digit}s are in {listed}?", f"Count the {digit}s in {listed}.")
    return listed, wordings, str(digits.count(digit))


def _join(rng: Random) -> _Exercise:
    digits = [str(rng.randrange(10)) for _ in range(rng.randint(2, 5))]
    listed = " ".join(digits)
    return listed, (f"Read the digits as one number: {listed}", f"Join the digits: {listed}"), "".join(digits)


def _spell(rng: Random) -> _Exercise:
    number = "".join(str(rng.randrange(10)) for _ in range(rng.randint(2, 5)))
    return number, (f"Which digits are in {number}?", f"Read out the digits of {number}."), " ".join(number)


def _repeat(rng: Random) -> _Exercise:
    listed = " ".join(str(rng.randrange(10)) for _ in range(rng.randint(2, 6)))
    return listed, (f"Repeat: {listed}", f"Say this again: {listed}"), listed


def _to_word(rng: Random) -> _Exercise:
    number = rng.randrange(100)
    return str(number), (f"Write {number} in words.", f"What is the word for {number}?"), number_word(number)


def _from_word(rng: Random) -> _Exercise:
    number = rng.randrange(100)
    word = number_word(number)
    return str(number), (f"Write {word} in digits.", f"Which number is {word}?"), str(number)


EXERCISES: Mapping[str, Callable[[Random], _Exercise]] = {
    "add": _add,
    "add_digits": _add_digits,
    "subtract": _subtract,
    "compare": _compare,
    "compare_yes_no": _compare_yes_no,
    "count": _count,
    "join": _join,
    "spell": _spell,
    "repeat": _repeat,
    "to_word": _to_word,
    "from_word": _from_word,
}
"""Makers of exercises by the name of their skill; the sample's task is `math_<name>`."""


def exercise_dialogues(count: int, rng: Random) -> Iterator[DemoSample]:
    """Training dialogues of one to three exercises."""
    for _ in range(count):
        turns = [_draw(rng.choice(tuple(EXERCISES)), rng, held_out=False) for _ in range(rng.randint(1, 3))]
        yield dialogue(turns, task=f"math_{turns[0].task}")


def exercise_questions(count_per_skill: int, rng: Random) -> Iterator[DemoSample]:
    """Held-out samples of one exercise each."""
    for skill in EXERCISES:
        for _ in range(count_per_skill):
            turn = _draw(skill, rng, held_out=True)
            yield dialogue([turn], task=f"math_{skill}", is_measured=True)


def _draw(skill: str, rng: Random, held_out: bool) -> Turn:
    while True:
        content, wordings, answer = EXERCISES[skill](rng)
        if is_held_out(f"exercise {content}", HELD_OUT_FRACTION) == held_out:
            return Turn(skill, rng.choice(wordings), answer)
