"""The held-out data of a recipe, opened once and measured as often as asked."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import replace

from rich.console import Console

from phi4train.config.schema import Config, EvaluationConfig, HardwareConfig
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.evaluation.evaluate import EvaluationData, collect_answers, evaluate, fit_baselines
from phi4train.evaluation.metrics.registry import quantities
from phi4train.evaluation.report import EvaluationReport
from phi4train.evaluation.show_answers import show_answers
from phi4train.model.generation import go_on
from phi4train.model.phi4 import Phi4Model
from phi4train.run.stage_data import StageData, open_data, require_encoders
from phi4train.run.torch_setup import autocast


class HeldOut:
    """The held-out data of a recipe, opened once and measured as often as asked.

    Args:
        settings: how it is measured.
        hardware: precision, and tokens of a batch.
        data: the held-out mixture.
        training: the mixture that baselines learn from; None: there are no baselines.
    """

    def __init__(
        self,
        settings: EvaluationConfig,
        hardware: HardwareConfig,
        data: StageData,
        training: StageData | None = None,
    ) -> None:
        self._settings = settings
        self._hardware = hardware
        self._data = self._as_evaluated(data)
        self._training = training

    def evaluate(
        self,
        model: Phi4Model,
        max_samples: int = 0,
        with_baselines: bool = False,
        at_boundary: Callable[[], object] = go_on,
    ) -> EvaluationReport:
        """Perplexity, and the metric of the task where samples have answers.

        Args:
            model: in any mode; it is left as it was.
            max_samples: of each source; 0: all.
            with_baselines: also score unigram and bigram models of the training mixture, when
                `evaluation.baseline_samples` asks for them.
            at_boundary: see `evaluate`.
        """
        ngrams = None
        if with_baselines and self._training is not None and self._settings.baseline_samples:
            training = self._as_evaluated(self._training, self._settings.baseline_samples)
            ngrams = fit_baselines(training, at_boundary)
        with self._autocast(model):
            held_out, longest = self._limited(max_samples), self._settings.max_new_tokens
            return evaluate(model, held_out, longest, ngrams, at_boundary)

    def show(self, model: Phi4Model, console: Console, num_answers: int) -> None:
        """Prints `num_answers` answers, spread over the held-out sources and tasks."""
        held_out = self._limited(0)  # a shard may hold its tasks one after the other
        with self._autocast(model):
            answers = collect_answers(model, held_out, self._settings.max_new_tokens)
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
        return autocast(self._hardware.precision, model.head_weight.device)

    def _as_evaluated(self, data: StageData, max_samples: int | None = None) -> EvaluationData:
        return EvaluationData(
            data.mixture,
            data.tokenizer,
            data.limits,
            data.cache_dir,
            self._hardware.micro_batch_tokens,
            max_samples,
        )


def open_held_out(
    config: Config,
    encoders: Iterable[str],
    tokenizer: Tokenizer | None = None,
    training: StageData | None = None,
) -> HeldOut:
    """The mixture that `evaluation.manifest` names.

    Args:
        config: a recipe that names one.
        encoders: modalities that the model encodes.
        tokenizer: the recipe's, where it is loaded already.
        training: see HeldOut.

    Raises:
        ManifestError: the mixture, a shard or an index is missing.
        ConfigError: it holds media that the model cannot encode.
    """
    data = open_data(config, config.evaluation.manifest, tokenizer)
    require_encoders(data, encoders)
    return HeldOut(config.evaluation, config.hardware, data, training)


def one_line(report: EvaluationReport, settings: EvaluationConfig) -> str:
    """The overall results of a report in a line, for the terminal while training."""
    found = report.metrics()
    parts = [
        f"{quantity.words} {quantity.form.shown(found[quantity.key])}"
        for quantity in quantities()
        if quantity.words and quantity.key in found
    ]
    return f"{settings.manifest}: " + ", ".join(parts)
