"""Writes a small data set of noisy time series with questions about their trend and their period.

python examples/sensor/sensor_data.py --data-root data
"""

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from sensor_modality import encode_readings

from phi4train.data.shards.writer import ShardWriter

PERIODS = (4, 8, 16, 32)
TRENDS = {"rising": 1.5, "falling": -1.5, "flat": 0.0}
QUESTIONS = {"sensor_trend": "What is the trend?", "sensor_period": "How many readings has a period?"}
NUM_READINGS = 128


def samples(number: int, random: Random) -> Iterator[tuple[dict[str, Any], dict[str, bytes]]]:
    """Records with their media, half of the questions about the trend and half about the period."""
    for i in range(number):
        period, trend, phase = (
            random.choice(PERIODS),
            random.choice(list(TRENDS)),
            random.uniform(0, math.tau),
        )
        readings = [
            TRENDS[trend] * (2 * t / NUM_READINGS - 1)
            + math.sin(math.tau * t / period + phase)
            + random.gauss(0, 0.2)
            for t in range(NUM_READINGS)
        ]
        task = list(QUESTIONS)[i % 2]
        answer = trend if task == "sensor_trend" else str(period)
        question = [{"type": "sensor", "sensor": "0.sensor"}, {"type": "text", "text": QUESTIONS[task]}]
        messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        yield (
            {"messages": messages, "task": task, "answers": [answer]},
            {"0.sensor": encode_readings(readings)},
        )


def write_sensor_data(data_root: Path, num_samples: int) -> None:
    """Writes `<data_root>/sensor/`; the bytes depend on the number of samples alone."""
    for split, number in (("train", num_samples), ("heldout", num_samples // 20)):
        with ShardWriter(data_root / "sensor" / split) as writer:
            for i, (record, media) in enumerate(samples(number, Random(split))):
                writer.write(f"{i:06d}", record, media)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data-root", type=Path, default=Path("data"))
    parser.add_argument("--samples", type=int, default=8000, help="for training; a twentieth is held out")
    options = parser.parse_args()
    write_sensor_data(options.data_root, options.samples)
    print(f"{options.data_root / 'sensor'}: written")
