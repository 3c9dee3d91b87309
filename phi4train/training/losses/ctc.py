"""CTC of audio tokens: each learns to look like an id that is heard in its clip, or like the blank.

It needs the text of a clip alone and adds no parameters.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import torch
from torch import Tensor

from phi4train.batch import IGNORE_INDEX, AudioInputs, Batch
from phi4train.data.samples.tokenizer import Tokenizer
from phi4train.errors import ConfigError
from phi4train.model.audio_encoder import num_audio_tokens
from phi4train.objectives.ctc import fewest_ctc_tokens, linear_ctc
from phi4train.training.losses.loss import Forward, LossSums
from phi4train.training.losses.media_tokens import normed_tokens


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


class Ctc:
    """CTC of a clip's tokens: each learns to look like an id that is heard, or like the blank.

    Args:
        tasks: first words of the names of tasks whose answers are what the clip says.
        blank_id: the id of audio tokens at which nothing new is heard.
        tokenizer: tells which ids of an answer cannot be heard.
    """

    name = "ctc"

    def __init__(self, tasks: Collection[str], blank_id: int, tokenizer: Tokenizer) -> None:
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

    def sums(self, forward: Forward, selection: CtcClips) -> LossSums:
        """See Loss; the embeddings get no gradient."""
        normed_ND = normed_tokens(forward, torch.cat(list(selection.positions)))
        num_tokens = [len(positions) for positions in selection.positions]
        head_VD = forward.model.head_weight
        loss_sum, _ = linear_ctc(normed_ND, num_tokens, head_VD, selection.targets, self._blank_id)
        return LossSums(loss_sum)

    def _target(self, labels_T: Tensor) -> list[int]:
        return [label for label in labels_T.tolist() if label != IGNORE_INDEX and self._is_heard(label)]


def build_ctc(tasks: Collection[str], blank: str, tokenizer: Tokenizer) -> Ctc:
    """The loss with the text `blank` as what nothing new is heard as.

    Raises:
        ConfigError: the blank is not one token.
    """
    ids = tokenizer.encode(blank)
    if len(ids) != 1:
        raise ConfigError(
            "auxiliary.ctc_blank must be exactly one token of the tokenizer · found "
            f"{blank!r}, which is {len(ids)} · choose a shorter text, such as a single sign"
        )
    return Ctc(tasks, ids[0], tokenizer)
