"""Writes a small data set of dates to be written out: `5.3.1987` becomes `the fifth of March 1987`.

python examples/metric/rewrite_data.py --data-root data
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from phi4train.data.shards.writer import ShardWriter

DAYS = (
    *("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth"),
    *("eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth"),
    *("eighteenth", "nineteenth", "twentieth"),
)
MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


def samples(number: int, random: Random) -> Iterator[dict[str, Any]]:
    """Records with one question each."""
    for _ in range(number):
        day, month = random.randrange(len(DAYS)), random.randrange(len(MONTHS))
        year = random.randint(1900, 2099)
        question = f"Write out the date {day + 1}.{month + 1}.{year}."
        answer = f"the {DAYS[day]} of {MONTHS[month]} {year}"
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        yield {"messages": messages, "task": "rewrite_dates", "language": "en", "answers": [answer]}


def write_rewrite_data(data_root: Path, num_samples: int) -> None:
    """Writes `<data_root>/rewrite/`; the bytes depend on the number of samples alone."""
    for split, number in (("train", num_samples), ("heldout", num_samples // 20)):
        with ShardWriter(data_root / "rewrite" / split) as writer:
            for i, record in enumerate(samples(number, Random(split))):
                writer.write(f"{i:06d}", record)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--samples", type=int, default=4000, help="for training; a twentieth is held out")
    options = parser.parse_args()
    write_rewrite_data(options.data_root, options.samples)
    print(f"{options.data_root / 'rewrite'}: written")
