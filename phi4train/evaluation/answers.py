"""The model's own answers to held-out prompts."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from phi4train.batch import Batch, ImageInputs
from phi4train.data.batches.held_out import EvaluationBatch
from phi4train.data.samples.records import Sample, TextPart
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.evaluation.metrics.judging import is_right
from phi4train.evaluation.metrics.metric import Reply
from phi4train.model.generation import generate, go_on
from phi4train.model.phi4 import Phi4Model


@dataclass(frozen=True)
class Answer:
    """What the model said to a prompt.

    Args:
        view: global view of the sample's first image, normalised pixels (3, S, S); None without an image.
    """

    sample: Sample
    text: str
    view: Tensor | None

    @property
    def question(self) -> str:
        """Text of the last user turn."""
        turn = next(turn for turn in reversed(self.sample.turns) if turn.role == "user")
        return "".join(part.text for part in turn.parts if isinstance(part, TextPart))

    @property
    def reply(self) -> Reply:
        """What metrics judge."""
        return Reply(self.sample, self.text)

    @property
    def is_correct(self) -> bool:
        """Whether the metric of its task finds nothing to be improved."""
        return is_right(self.reply)

    def as_dict(self) -> dict[str, Any]:
        """A line of answers.jsonl."""
        sample = self.sample
        return {
            "key": sample.key,
            "task": sample.task,
            "language": sample.language,
            "question": self.question,
            "answer": self.text,
            "accepted": list(sample.answers),
            "correct": self.is_correct,
        }


def answer_prompts(
    model: Phi4Model,
    batches: Iterable[EvaluationBatch],
    tokenizer: Tokenizer,
    max_new_tokens: int,
    at_boundary: Callable[[], object] = go_on,
) -> Iterator[Answer]:
    """Greedy answers to the samples that have accepted answers; batches without any are passed over.

    Call it in evaluation mode (`model_state.evaluation_mode`).

    Args:
        batches: prompts, as `evaluation_batches(..., as_prompts=True)` yields them.
        at_boundary: called before each new token; what it raises ends the evaluation.
    """
    device = model.head_weight.device
    stop_ids = {tokenizer.end_token_id, tokenizer.eos_token_id}
    for batch in batches:
        if not any(sample.answers for sample in batch.samples):
            continue
        generated = generate(model, batch.batch.to(device), max_new_tokens, stop_ids, at_boundary=at_boundary)
        views = _first_views(batch.batch, batch.samples)
        for sample, ids, view in zip(batch.samples, generated, views, strict=True):
            if sample.answers:
                yield Answer(sample, tokenizer.decode(ids), view)


def _first_views(batch: Batch, samples: tuple[Sample, ...]) -> list[Tensor | None]:
    """Global view of the first image of each sample, or None."""
    images = batch.media.get("image")
    if not isinstance(images, ImageInputs):
        return [None] * len(samples)
    starts = [0]
    for rows, columns in images.grids:
        starts.append(starts[-1] + 1 + rows * columns)
    views: list[Tensor | None] = []
    image = 0
    for sample in samples:
        num_images = sum(part.kind == "image" for part in sample.media)
        views.append(images.crops_C3SS[starts[image]] if num_images else None)
        image += num_images
    return views
