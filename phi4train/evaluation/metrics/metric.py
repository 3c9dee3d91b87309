"""The seam of metrics: all that the rest of the package asks of one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from rich.table import Table

from phi4train.data.samples.records import Sample

R = TypeVar("R")

ALL_TASKS = "all"
"""Name of the result over every task."""

ALL_LANGUAGES = "all"
"""Language of the result over every language."""

SKIPPED_SAMPLES = "eval/skipped_samples"
"""Key of a number that no metric measures: samples that could not be used."""


@dataclass(frozen=True)
class Form:
    """How a number is written.

    Args:
        digits: behind the point.
        compared_digits: likewise, where two numbers stand side by side.
        is_percent: a fraction, written in percent; a difference of two, in percentage points.
    """

    digits: int
    compared_digits: int
    is_percent: bool = False

    def shown(self, value: float) -> str:
        """As it stands alone."""
        return self._written(value, self.digits)

    def compared(self, value: float) -> str:
        """As it stands beside another."""
        return self._written(value, self.compared_digits)

    def difference(self, value: float) -> str:
        """Signed; in powers of ten where it is too small for the digits."""
        scaled, digits = (100 * value if self.is_percent else value), self.compared_digits
        return f"{scaled:+.{digits}f}" if abs(scaled) >= 0.5 * 10**-digits else f"{scaled:+.0e}"

    def _written(self, value: float, digits: int) -> str:
        return f"{100 * value:.{digits}f} %" if self.is_percent else f"{value:.{digits}f}"


PERCENT = Form(digits=1, compared_digits=1, is_percent=True)


@dataclass(frozen=True)
class Quantity:
    """A number that a metric measures over all samples.

    What is said of it holds too for its parts, whose keys stand below its own: `eval/wer/<task>/<language>`.

    Args:
        key: `eval/<word>`: its name in evaluation.json, in evaluations.jsonl and in every logger.
        is_lower_better: which way a model improves; None: it is no model's, and never compared.
        words: what the line while training calls it; empty: not told there.
        column: head of its column in the summary of a curriculum; empty: it has none.
    """

    key: str
    form: Form
    is_lower_better: bool | None
    words: str = ""
    column: str = ""


def overall_key(key: str) -> str:
    """Key of the quantity that a key is a part of: `eval/wer` of `eval/wer/asr_numbers/de`."""
    return "/".join(key.split("/", 2)[:2])


@dataclass(frozen=True)
class Metric(Generic[R]):
    """How results are told.

    Args:
        name: of its section in evaluation.json.
        quantities: what it measures.
        values: all numbers of its results (at least one), by key: quantities and their parts.
        row: a result in evaluation.json, as JSON values.
        table: its results (at least one) for the terminal.
    """

    name: str
    quantities: tuple[Quantity, ...]
    values: Callable[[Sequence[R]], dict[str, float]]
    row: Callable[[R], dict[str, Any]]
    table: Callable[[Sequence[R]], Table]


@dataclass(frozen=True)
class Reply:
    """What a model said to a sample, whose accepted answers (at least one) are the references."""

    sample: Sample
    text: str


def whole(reply: Reply) -> tuple[Reply, Mapping[str, Reply]]:
    """An answer that is judged in one piece; see `AnswerMetric`."""
    return reply, {}


@dataclass(frozen=True)
class AnswerMetric(Metric[R]):
    """How answers are judged, and how that is told.

    Args:
        task_words: the first words of the names of the tasks that it judges: `asr` judges `asr` and `asr_de`.
        score: results of all its replies (at least one); those by task first, those over all last.
        is_right: whether nothing is to be improved in a reply, before any split.
        split: the part of a reply that it judges itself, and the parts that others do, by their names.
    """

    task_words: tuple[str, ...]
    score: Callable[[Sequence[Reply]], Sequence[R]]
    is_right: Callable[[Reply], bool]
    split: Callable[[Reply], tuple[Reply, Mapping[str, Reply]]] = whole
