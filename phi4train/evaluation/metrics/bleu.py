"""BLEU of translations, by task and language, as `sacrebleu` computes it on texts as they are.

A sample's `language` is what is spoken. The language of a translation is its `meta.target_language`; where a
sample does not say it, the script of the references decides how BLEU splits them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING

from rich.table import Table

from phi4train.evaluation.metrics.by_language import group_replies, language_table, mean_values
from phi4train.evaluation.metrics.exact_match import is_match
from phi4train.evaluation.metrics.metric import AnswerMetric, Form, Quantity, Reply
from phi4train.evaluation.metrics.normaliser import UNKNOWN_LANGUAGE, base_language
from phi4train.evaluation.metrics.separated import split_transcript

if TYPE_CHECKING:
    from sacrebleu.metrics import bleu as sacrebleu

BLEU_KEY = "eval/bleu"
"""Mean over tasks and languages, from 0 to 100."""


@dataclass(frozen=True)
class Bleu:
    """BLEU of the translations of one task and language.

    Args:
        language: what is spoken, or the pair: `de`, `de-en`.
        score: of the corpus, 0 to 100.
        signature: sacrebleu's account of how it was computed: tokenizer, smoothing, version.
    """

    task: str
    language: str
    score: float
    num_samples: int
    signature: str


def bleu_scores(translations: Sequence[Reply]) -> list[Bleu]:
    """One result a task and language, in alphabetical order; every accepted answer is a reference."""
    groups = group_replies(translations, _languages_of)
    return [_score(task, languages, members) for (task, languages), members in groups.items()]


def tokenizer_of(language: str) -> str:
    """Name of sacrebleu's tokenizer for a language.

    Japanese is split into characters unless MeCab is installed (`sacrebleu[ja]`). Scores of the two do not
    compare: each result carries its signature.
    """
    if language == "ja":
        return "ja-mecab" if _has_mecab() else "char"
    return "zh" if language == "zh" else "13a"


def script_language(texts: Iterable[str]) -> str:
    """`ja` where a text has kana, else `zh` where one has Chinese characters, else `unknown`."""
    letters = "".join(texts)
    if re.search(r"[\u3040-\u30ff]", letters):
        return "ja"
    return "zh" if re.search(r"[\u3400-\u9fff]", letters) else UNKNOWN_LANGUAGE


def _languages_of(translation: Reply) -> str:
    """What is spoken; the pair where the target is known."""
    spoken, target = base_language(translation.sample.language), _target_language(translation)
    return spoken if target is None else f"{spoken}-{target}"


def _target_language(translation: Reply) -> str | None:
    named = translation.sample.meta.get("target_language")
    return base_language(named) if isinstance(named, str) else None


def _score(task: str, languages: str, members: Sequence[Reply]) -> Bleu:
    # Row k holds the k-th reference of each sample; None where a sample has fewer.
    references = [one.sample.answers for one in members]
    rows = [list(row) for row in zip_longest(*references)]
    target = _target_language(members[0]) or script_language(text for texts in references for text in texts)
    metric = _metric(tokenizer_of(target))
    found = metric.corpus_score([one.text for one in members], rows)
    return Bleu(task, languages, found.score, len(members), str(metric.get_signature()))


def _metric(tokenizer: str) -> "sacrebleu.BLEU":
    """BLEU-4, or of as many orders as the translations are long when none has four tokens."""
    from sacrebleu.metrics import bleu as sacrebleu  # here, so that text and images do not need it

    return sacrebleu.BLEU(tokenize=tokenizer, effective_order=True)


@cache
def _has_mecab() -> bool:
    try:
        _metric("ja-mecab")
    except (ImportError, RuntimeError):
        return False
    return True


def _values(results: Sequence[Bleu]) -> dict[str, float]:
    return mean_values(BLEU_KEY, results, lambda result: result.score, lambda _: BLEU_KEY)


def _table(results: Sequence[Bleu]) -> Table:
    return language_table("BLEU", ["BLEU"], results, lambda result: result.score, _FORM)


_FORM = Form(digits=1, compared_digits=1)

BLEU = AnswerMetric(
    name="bleu",
    quantities=(Quantity(BLEU_KEY, _FORM, is_lower_better=False, words="BLEU", column="BLEU"),),
    values=_values,
    row=vars,
    table=_table,
    task_words=("ast",),
    score=bleu_scores,
    is_right=is_match,
    split=split_transcript,
)
"""Judges translations; a transcript before one is handed on to the error rate."""
