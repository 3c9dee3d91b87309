"""BLEU of translations, by task and language, as `sacrebleu` computes it on texts as they are."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import zip_longest
from typing import TYPE_CHECKING

from phi4train.evaluation.metrics.judging import JudgedText
from phi4train.evaluation.metrics.normaliser import UNKNOWN_LANGUAGE

if TYPE_CHECKING:
    from sacrebleu.metrics.bleu import BLEU


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


def bleu_scores(translations: Iterable[JudgedText]) -> list[Bleu]:
    """One result a task and language, in alphabetical order; every accepted answer is a reference."""
    members: dict[tuple[str, str], list[JudgedText]] = defaultdict(list)
    for one in translations:
        members[one.task, one.language].append(one)
    return [_score(task, language, found) for (task, language), found in sorted(members.items())]


def mean_score(results: Sequence[Bleu], task: str | None = None) -> float:
    """Mean over the languages of a task, each weighing the same; None: over those of every task."""
    scores = [result.score for result in results if task in (None, result.task)]
    return sum(scores) / len(scores)


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


def _score(task: str, language: str, members: Sequence[JudgedText]) -> Bleu:
    # Row k holds the k-th reference of each sample; None where a sample has fewer.
    rows = [list(row) for row in zip_longest(*(one.references for one in members))]
    target = members[0].target_language or script_language(text for one in members for text in one.references)
    metric = _metric(tokenizer_of(target))
    found = metric.corpus_score([one.hypothesis for one in members], rows)
    return Bleu(task, language, found.score, len(members), str(metric.get_signature()))


def _metric(tokenizer: str) -> "BLEU":
    """BLEU-4, or of as many orders as the translations are long when none has four tokens."""
    from sacrebleu.metrics.bleu import BLEU  # here, so that evaluating text and images does not need it

    return BLEU(tokenize=tokenizer, effective_order=True)


@cache
def _has_mecab() -> bool:
    try:
        _metric("ja-mecab")
    except (ImportError, RuntimeError):
        return False
    return True
