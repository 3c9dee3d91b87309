"""The held-out data of a recipe, opened once and measured as often as asked."""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import replace

from rich.console import Console

from phi4train.config.schema import Config, EvaluationConfig
from phi4train.evaluation.metrics.registry import quantities
from phi4train.evaluation.report import EvaluationReport
from phi4train.evaluation.run import EvaluationData, collect_answers, evaluate, fit_baselines
from phi4train.evaluation.show import show_answers
from phi4train.model.phi4 import Phi4Model
from phi4train.run.stage_data import StageData, open_data, require_encoders
from phi4train.run.torch_setup import autocast


class HeldOut:
    """The held-out data of a recipe, opened once and measured as often as asked.

    Args:
        config: a recipe that names `evaluation.manifest`.
        encoders: modalities that the model encodes.

    Raises:
        ManifestError: the mixture, a shard or an index is missing.
        ConfigError: it holds media that the model cannot encode.
    """

    def __init__(self, config: Config, encoders: Iterable[str]) -> None:
        self._config = config
        data = open_data(config, config.evaluation.manifest)
        require_encoders(data, encoders)
        self._data = self._as_evaluated(data)

    def measure(
        self, model: Phi4Model, max_samples: int = 0, with_baselines: bool = False
    ) -> EvaluationReport:
        """Perplexity, and the metric of the task where samples have answers.

        Args:
            max_samples: of each source; 0: all.
            with_baselines: also score unigram and bigram models of the training mixture, when
                `evaluation.baseline_samples` asks for them.
        """
        settings = self._config.evaluation
        ngrams = None
        if with_baselines and settings.baseline_samples:
            training = self._as_evaluated(open_data(self._config), settings.baseline_samples)
            ngrams = fit_baselines(training)
        with self._autocast(model):
            return evaluate(model, self._limited(max_samples), settings.max_new_tokens, ngrams)

    def show(self, model: Phi4Model, console: Console, num_answers: int) -> None:
        """Prints `num_answers` answers, spread over the held-out sources and tasks."""
        held_out = self._limited(0)  # a shard may hold its tasks one after the other
        with self._autocast(model):
            answers = collect_answers(model, held_out, self._config.evaluation.max_new_tokens)
        tasks: dict[str, list[int]] = {}
        for position, answer in enumerate(answers):
            tasks.setdefault(answer.sample.task, []).append(position)
        rounds = sorted(
            (rank, position) for members in tasks.values() for rank, position in enumerate(members)
        )
        show_answers([answers[position] for _, position in rounds[:num_answers]], console)

    def _limited(self, max_samples: int) -> EvaluationData:
        return replace(self._data, max_samples=max_samples or None)

    def _autocast(self, model: Phi4Model) -> AbstractContextManager[None]:
        return autocast(self._config.hardware.precision, model.head_weight.device)

    def _as_evaluated(self, data: StageData, max_samples: int | None = None) -> EvaluationData:
        return EvaluationData(
            data.mixture,
            data.tokenizer,
            data.limits,
            data.cache_dir,
            self._config.hardware.micro_batch_tokens,
            max_samples,
        )


def one_line(report: EvaluationReport, settings: EvaluationConfig) -> str:
    """The overall results of a report in a line, for the terminal while training."""
    found = report.metrics()
    parts = [
        f"{quantity.words} {quantity.form.shown(found[quantity.key])}"
        for quantity in quantities()
        if quantity.words and quantity.key in found
    ]
    return f"{settings.manifest}: " + ", ".join(parts)
