"""A rendered line reads as its text, and held-out texts stay out of training."""

from random import Random

from phi4train.demo.images.lines import line_samples
from phi4train.demo.samples import DemoSample


def test_no_rendered_line_is_both_trained_on_and_held_out() -> None:
    words = ["thunder", "lightning", "rain", "hurly", "burly", "battle"]

    def texts(samples: list[DemoSample]) -> set[str]:
        return {s.record["messages"][1]["content"] for s in samples}

    held_out = texts(list(line_samples(20, words, Random(0), held_out=True)))
    assert not held_out & texts(list(line_samples(300, words, Random(1), held_out=False)))
