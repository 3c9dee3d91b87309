"""An auxiliary loss beside a stage's objective: CTC of audio tokens against the text that the clip says."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import torch
from torch import Tensor
from torch.nn import functional as F

from phi4train.batch import IGNORE_INDEX, AudioInputs, Batch
from phi4train.config.schema import AuxiliaryConfig
from phi4train.data.tokenizer import Tokenizer
from phi4train.errors import ConfigError
from phi4train.model.audio_encoder import num_audio_tokens
from phi4train.model.phi4 import Phi4Model
from phi4train.objectives.ctc import fewest_ctc_tokens, linear_ctc


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
    """Which clips of a batch have a CTC loss, and that loss; it adds no parameters to the model.

    An audio token's logits are its products with the embeddings of all ids, after scaling it to a root mean
    square of 1: it learns to look like the id that is heard at it, or like the blank.

    Args:
        weight: factor of the mean loss per target id beside the stage's own loss.
        tasks: first words of the names of tasks whose answers are what the clip says.
        blank_id: the id of audio tokens at which nothing new is heard.
        tokenizer: tells which ids of an answer cannot be heard.
    """

    def __init__(self, weight: float, tasks: Collection[str], blank_id: int, tokenizer: Tokenizer) -> None:
        self.weight = weight
        self._tasks = frozenset(tasks)
        self._blank_id = blank_id
        silent_ids = {blank_id, *tokenizer.special_token_ids.values()}
        self._is_heard = cache(lambda i: i not in silent_ids and not tokenizer.decode([i]).isspace())

    def clips(self, batch: Batch) -> CtcClips:
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
        """The summed loss of at least one clip, a scalar.

        Args:
            model: gives the embeddings of ids; they get no gradient.
            embedded_TD: what `model.embed` returned for the clips' batch.
            clips: what `clips` returned for it.
        """
        tokens_ND = embedded_TD.index_select(0, torch.cat(list(clips.positions)))
        normed_ND = F.rms_norm(tokens_ND, tokens_ND.shape[1:], eps=model.language_model.shape.norm_eps)
        num_tokens = [len(positions) for positions in clips.positions]
        loss_sum, _ = linear_ctc(normed_ND, num_tokens, model.head_weight, clips.targets, self._blank_id)
        return loss_sum

    def _target(self, labels_T: Tensor) -> list[int]:
        return [label for label in labels_T.tolist() if label != IGNORE_INDEX and self._is_heard(label)]


def build_auxiliary_ctc(config: AuxiliaryConfig, tokenizer: Tokenizer) -> AuxiliaryCtc | None:
    """The auxiliary loss that a recipe asks for; None: its weight is 0.

    Raises:
        ConfigError: the blank is not one token.
    """
    if config.ctc_weight == 0:
        return None
    ids = tokenizer.encode(config.ctc_blank)
    if len(ids) != 1:
        raise ConfigError(
            "auxiliary.ctc_blank must be exactly one token of the tokenizer; found "
            f"{config.ctc_blank!r}, which is {len(ids)}. Choose a shorter text, such as a single sign."
        )
    return AuxiliaryCtc(config.ctc_weight, config.ctc_tasks, ids[0], tokenizer)
