"""Names of what evaluations measure, in evaluation.json, evaluations.jsonl and in every logger.

Error rates and accuracies are fractions, BLEU goes from 0 to 100.
"""

LOSS = "eval/loss"
PERPLEXITY = "eval/perplexity"
BASELINE_PERPLEXITY = "eval/perplexity_{scorer}"
PERPLEXITY_PER_TASK = "eval/perplexity/{task}"
ACCURACY = "eval/accuracy"
ACCURACY_PER_TASK = "eval/accuracy/{task}"
WER = "eval/wer"
"""Over all words of all tasks."""
WER_PER_LANGUAGE = "eval/wer/{task}/{language}"
CER = "eval/cer"
"""Over all characters of all tasks in languages written without spaces."""
CER_PER_LANGUAGE = "eval/cer/{task}/{language}"
MEAN_ERROR_RATE = "eval/error_rate"
"""Mean of the word or character error rates over tasks and languages."""
MEAN_ERROR_RATE_PER_TASK = "eval/error_rate/{task}"
"""Mean of the word or character error rates over the languages of a task."""
BLEU = "eval/bleu"
"""Mean over tasks and languages."""
BLEU_PER_TASK = "eval/bleu/{task}"
"""Mean over the languages of a task."""
BLEU_PER_LANGUAGE = "eval/bleu/{task}/{language}"
SKIPPED_SAMPLES = "eval/skipped_samples"

IS_LOWER_BETTER = {
    LOSS: True,
    PERPLEXITY: True,
    ACCURACY: False,
    WER: True,
    CER: True,
    MEAN_ERROR_RATE: True,
    BLEU: False,
}
"""Which way each metric of a model improves, by its overall name."""


def overall_name(key: str) -> str:
    """The metric that a key is a part of: `eval/wer` of `eval/wer/asr_numbers/de`."""
    return "/".join(key.split("/", 2)[:2])


def is_model_metric(key: str) -> bool:
    """Whether a key measures the model, and not a baseline or the data."""
    return overall_name(key) in IS_LOWER_BETTER


def is_lower_better(key: str) -> bool:
    """Whether a smaller value of a model's metric is the better one."""
    return IS_LOWER_BETTER[overall_name(key)]
