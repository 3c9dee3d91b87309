"""Evaluates a model on a held-out mixture, while it trains or afterwards."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from phi4train.batch import Batch
from phi4train.data.batches.held_out import EvaluationBatch, evaluation_batches
from phi4train.data.batches.loader import SkippedSample
from phi4train.data.media.limits import Limits
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.data.shards.mixture import Mixture
from phi4train.data.shards.tables import RECORD_SHAPES
from phi4train.evaluation.answers import Answer, answer_prompts
from phi4train.evaluation.metrics.judging import judge_replies
from phi4train.evaluation.metrics.ngrams import NGrams, fit_ngrams
from phi4train.evaluation.metrics.perplexity import PERPLEXITY, measure_perplexity
from phi4train.evaluation.model_state import evaluation_mode
from phi4train.evaluation.report import EvaluationReport
from phi4train.model.generation import go_on
from phi4train.model.phi4 import Phi4Model

_NO_PROMPT = "no_prompt"


@dataclass(frozen=True)
class EvaluationData:
    """A mixture, and how its samples become batches.

    Args:
        max_batch_tokens: most tokens of a batch.
        max_samples: samples of each source; None means all.
    """

    mixture: Mixture
    tokenizer: Tokenizer
    limits: Limits
    cache_dir: Path
    max_batch_tokens: int
    max_samples: int | None = None

    def batches(self, skipped: list[SkippedSample], as_prompts: bool = False) -> Iterator[EvaluationBatch]:
        """See `evaluation_batches`."""
        return evaluation_batches(
            self.mixture,
            self.tokenizer,
            self.limits,
            self.cache_dir,
            self.max_batch_tokens,
            skipped,
            self.max_samples,
            as_prompts,
        )


def evaluate(
    model: Phi4Model,
    held_out: EvaluationData,
    max_new_tokens: int,
    ngrams: NGrams | None = None,
    at_boundary: Callable[[], object] = go_on,
) -> EvaluationReport:
    """Perplexity of all targets, and of the samples that have accepted answers what their metric says.

    The model's modes and torch's random numbers are left as they were.

    Args:
        max_new_tokens: longest generated answer.
        ngrams: baselines, from `fit_baselines` on the training mixture.
        at_boundary: called after each batch and before each generated token; what it raises ends the
            evaluation.
    """
    skipped: list[SkippedSample] = []
    with evaluation_mode(model):
        batches = _only_batches(held_out.batches(skipped), at_boundary)
        perplexities = measure_perplexity(model, batches, ngrams)
        found = _answers(model, held_out, max_new_tokens, skipped, at_boundary)
        answers = tuple(replace(answer, view=None) for answer in found)
        judged = judge_replies(answer.reply for answer in answers)
    unusable = {one.key: one for one in skipped if one.cause != _NO_PROMPT}  # a text has no prompt by nature
    return EvaluationReport(
        results={PERPLEXITY.name: tuple(perplexities), **judged},
        skipped=tuple(unusable.values()),
        answers=answers,
    )


def collect_answers(model: Phi4Model, held_out: EvaluationData, max_new_tokens: int) -> list[Answer]:
    """The model's answers to the samples that have accepted answers, for `show.show_answers`."""
    with evaluation_mode(model):
        return list(_answers(model, held_out, max_new_tokens, [], go_on))


def fit_baselines(training: EvaluationData, at_boundary: Callable[[], object] = go_on) -> NGrams:
    """Unigram and bigram counts of the training mixture's targets.

    Args:
        at_boundary: called after each batch; what it raises ends the counting.
    """
    return fit_ngrams(_only_batches(training.batches([]), at_boundary), training.tokenizer.vocab_size)


def _answers(
    model: Phi4Model,
    held_out: EvaluationData,
    max_new_tokens: int,
    skipped: list[SkippedSample],
    at_boundary: Callable[[], object],
) -> Iterator[Answer]:
    if not _has_dialogues(held_out.mixture):
        return
    prompts = held_out.batches(skipped, as_prompts=True)
    yield from answer_prompts(model, prompts, held_out.tokenizer, max_new_tokens, at_boundary)


def _only_batches(batches: Iterable[EvaluationBatch], at_boundary: Callable[[], object]) -> Iterator[Batch]:
    for batch in batches:
        yield batch.batch
        at_boundary()


def _has_dialogues(mixture: Mixture) -> bool:
    messages = RECORD_SHAPES.index("messages")
    return any(
        (table.samples["shape"] == messages).any() for part in mixture.sources for table in part.tables
    )
