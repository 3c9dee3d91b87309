"""Auxiliary losses beside a stage's objective: media tokens are to look like the text that they show or say.

`AuxiliaryCtc` needs the text of a clip alone; `AuxiliaryReading` a record that says what each slot reads.
Neither adds parameters: a token's logits are its products with the embeddings of all ids, after scaling it to
a root mean square of 1.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from phi4train.batch import IGNORE_INDEX, AudioInputs, Batch
from phi4train.config.schema import AuxiliaryConfig
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.errors import ConfigError
from phi4train.model.audio_encoder import num_audio_tokens
from phi4train.model.phi4 import Phi4Model
from phi4train.objectives.ctc import fewest_ctc_tokens, linear_ctc
from phi4train.objectives.next_token import linear_cross_entropy


class Selection(Protocol):
    """The part of a batch that has an auxiliary loss."""

    @property
    def num_targets(self) -> int:
        """What its loss is a sum over; 0: it has none."""


class AuxiliaryLoss(Protocol):
    """A loss of the embedded tokens of a batch."""

    @property
    def name(self) -> str:
        """As metrics call it."""

    @property
    def weight(self) -> float:
        """Factor of the mean loss per target beside the stage's own loss."""

    def select(self, batch: Batch) -> Selection:
        """What has the loss, known before anything is computed."""

    def loss_sum(self, model: Phi4Model, embedded_TD: Tensor, selection: Any) -> Tensor:
        """The summed loss of a selection with targets, a scalar; `model`'s embeddings get no gradient.

        Args:
            embedded_TD: what `model.embed` returned for the batch.
            selection: what `select` returned for it.
        """


class AuxiliarySteps:
    """The auxiliary losses of one optimizer step, each a mean over its targets in all micro-batches."""

    def __init__(self, losses: Sequence[AuxiliaryLoss], micro_batches: Sequence[Batch]) -> None:
        self._losses = losses
        self._selections = [[loss.select(batch) for batch in micro_batches] for loss in losses]
        self._counts = [sum(selection.num_targets for selection in own) for own in self._selections]
        self._sums: dict[str, list[Tensor]] = {}

    def shares(self, number: int, model: Phi4Model, embedded_TD: Tensor) -> Iterator[Tensor]:
        """What micro-batch `number` adds to the step's loss."""
        for loss, selections, count in zip(self._losses, self._selections, self._counts, strict=True):
            if selections[number].num_targets:
                mean = loss.loss_sum(model, embedded_TD, selections[number]) / count
                self._sums.setdefault(loss.name, []).append(mean.detach())
                yield loss.weight * mean

    def means(self) -> dict[str, float]:
        """The mean of each loss that had targets, without its weight."""
        return {name: torch.stack(shares).sum().item() for name, shares in self._sums.items()}


@dataclass(frozen=True)
class CtcClips:
    """The clips of a batch that have a CTC loss.

    Args:
        positions: slots of each clip's tokens in the flat T axis, int64.
        targets: ids that each clip spells.
    """

    positions: Sequence[Tensor]
    targets: Sequence[Sequence[int]]

    @property
    def num_targets(self) -> int:
        """Target ids of all clips."""
        return sum(map(len, self.targets))


NO_CLIPS = CtcClips((), ())


class AuxiliaryCtc:
    """CTC of a clip's tokens: each learns to look like an id that is heard, or like the blank.

    Args:
        weight: factor of the mean loss per target id beside the stage's own loss.
        tasks: first words of the names of tasks whose answers are what the clip says.
        blank_id: the id of audio tokens at which nothing new is heard.
        tokenizer: tells which ids of an answer cannot be heard.
    """

    name = "ctc"

    def __init__(self, weight: float, tasks: Collection[str], blank_id: int, tokenizer: Tokenizer) -> None:
        self.weight = weight
        self._tasks = frozenset(tasks)
        self._blank_id = blank_id
        silent_ids = {blank_id, *tokenizer.special_token_ids.values()}
        self._is_heard = cache(lambda i: i not in silent_ids and not tokenizer.decode([i]).isspace())

    def select(self, batch: Batch) -> CtcClips:
        """The clips that stand alone in a sample of the tasks and have tokens enough for its answer."""
        audio = batch.media.get("audio")
        if audio is None:
            return NO_CLIPS
        assert isinstance(audio, AudioInputs)
        slots = torch.split(audio.positions, [num_audio_tokens(frames) for frames in audio.num_frames])
        ends = list(accumulate(batch.sample_lengths))
        first_N = torch.stack([positions[0] for positions in slots])
        samples = torch.bucketize(first_N, first_N.new_tensor(ends), right=True).tolist()
        clips_of = Counter(samples)
        positions, targets = [], []
        for slot, sample in zip(slots, samples, strict=True):
            if clips_of[sample] > 1 or batch.tasks[sample].split("_")[0] not in self._tasks:
                continue
            target = self._target(batch.labels_T[ends[sample] - batch.sample_lengths[sample] : ends[sample]])
            if target and fewest_ctc_tokens(target) <= len(slot):
                positions.append(slot)
                targets.append(target)
        return CtcClips(positions, targets)

    def loss_sum(self, model: Phi4Model, embedded_TD: Tensor, clips: CtcClips) -> Tensor:
        """See AuxiliaryLoss."""
        normed_ND = _normed(model, embedded_TD, torch.cat(list(clips.positions)))
        num_tokens = [len(positions) for positions in clips.positions]
        loss_sum, _ = linear_ctc(normed_ND, num_tokens, model.head_weight, clips.targets, self._blank_id)
        return loss_sum

    def _target(self, labels_T: Tensor) -> list[int]:
        return [label for label in labels_T.tolist() if label != IGNORE_INDEX and self._is_heard(label)]


@dataclass(frozen=True)
class ReadSlots:
    """Slots whose reading is known: their positions in the flat T axis and the ids that they read, int64."""

    positions: Tensor
    ids: Tensor

    @property
    def num_targets(self) -> int:
        """Slots with a known reading."""
        return len(self.ids)


@dataclass(frozen=True)
class AuxiliaryReading:
    """Cross-entropy of media tokens: each learns to look like the id that its record says it reads.

    Args:
        weight: factor of the mean loss per slot beside the stage's own loss.
    """

    name = "reading"

    weight: float

    def select(self, batch: Batch) -> ReadSlots:
        """The slots of the batch whose reading is known."""
        readings_T = batch.readings_T
        if readings_T is None:
            nothing = batch.input_ids_T[:0]
            return ReadSlots(nothing, nothing)
        positions = (readings_T != IGNORE_INDEX).nonzero().squeeze(1)
        return ReadSlots(positions, readings_T[positions])

    def loss_sum(self, model: Phi4Model, embedded_TD: Tensor, slots: ReadSlots) -> Tensor:
        """See AuxiliaryLoss."""
        normed_ND = _normed(model, embedded_TD, slots.positions)
        loss_sum, _ = linear_cross_entropy(normed_ND, model.head_weight.detach(), slots.ids)
        return loss_sum


def _normed(model: Phi4Model, embedded_TD: Tensor, positions: Tensor) -> Tensor:
    tokens_ND = embedded_TD.index_select(0, positions)
    return F.rms_norm(tokens_ND, tokens_ND.shape[1:], eps=model.language_model.shape.norm_eps)


def build_auxiliaries(config: AuxiliaryConfig, tokenizer: Tokenizer) -> list[AuxiliaryLoss]:
    """The auxiliary losses that a recipe gives a weight.

    Raises:
        ConfigError: the blank of CTC is not one token.
    """
    losses: list[AuxiliaryLoss] = []
    if config.ctc_weight:
        losses.append(_build_ctc(config, tokenizer))
    if config.reading_weight:
        losses.append(AuxiliaryReading(config.reading_weight))
    return losses


def _build_ctc(config: AuxiliaryConfig, tokenizer: Tokenizer) -> AuxiliaryCtc:
    ids = tokenizer.encode(config.ctc_blank)
    if len(ids) != 1:
        raise ConfigError(
            "auxiliary.ctc_blank must be exactly one token of the tokenizer; found "
            f"{config.ctc_blank!r}, which is {len(ids)}. Choose a shorter text, such as a single sign."
        )
    return AuxiliaryCtc(config.ctc_weight, config.ctc_tasks, ids[0], tokenizer)
