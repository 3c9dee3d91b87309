"""A tiny model that hears: each letter of a transcript is a pattern in the features of its clip."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import torch

from phi4train.batch import IGNORE_INDEX, AudioInputs, Batch
from phi4train.config.schema import ScheduleKind
from phi4train.model.components import build_model
from phi4train.model.shapes import AudioShape
from phi4train.run.schedule import Schedule
from phi4train.training.losses.ctc import Ctc
from phi4train.training.losses.loss import WeightedLoss
from phi4train.training.module import StageModule
from tests.unit.training.tiny_training import ADAMW, SHAPE, build_module, step

SPEECH_SHAPE = replace(
    SHAPE,
    # 0.02 suits a width of 3072: here no token could be much nearer to one embedding than to all others.
    language_model=replace(SHAPE.language_model, initializer_range=0.15),
    audio=AudioShape(
        num_mels=8,
        hidden_dim=16,
        intermediate_dim=24,
        num_layers=1,
        num_heads=2,
        subsampling_channels=4,
        window_tokens=50,
        bias_max_distance=4,
    ),
    lora={},
)
AUDIO = ("audio_encoder", "audio_projector.speech")
FRAMES_PER_LETTER = 24
"""Three audio tokens."""


class LetterTokenizer:
    """An id a letter, and two special ones: only what the loss asks of a tokenizer."""

    def __init__(self) -> None:
        self.letters = "~abcdefgh ?\t"
        self.special_token_ids = {"<|end|>": len(self.letters), "<|audio|>": len(self.letters) + 1}

    def encode(self, text: str) -> list[int]:
        return [self.letters.index(letter) for letter in text]

    def decode(self, ids: Sequence[int]) -> str:
        texts = [*self.letters, *self.special_token_ids]
        return "".join(texts[i] for i in ids)


TOKENIZER = LetterTokenizer()
END, SLOT = TOKENIZER.special_token_ids.values()


def ctc(tasks: Sequence[str] = ("asr",)) -> Ctc:
    """The loss with the blank `~`."""
    return Ctc(tasks, TOKENIZER.encode("~")[0], TOKENIZER)  # type: ignore[arg-type]


def weighted_ctc(weight: float = 1.0) -> WeightedLoss:
    """CTC beside the objective."""
    return WeightedLoss(ctc(), weight)


def clip(text: str, seed: int) -> torch.Tensor:
    """Features of the letters of `text`, each followed by silence, with a little noise."""
    patterns = torch.randn(64, 8, generator=torch.Generator().manual_seed(7))
    heard = torch.stack([patterns[i] for i in TOKENIZER.encode(text)] or [patterns[0]])
    frames_F = torch.zeros(len(heard), FRAMES_PER_LETTER, 8)
    frames_F[:, : FRAMES_PER_LETTER // 2] = heard[:, None]
    noise = torch.randn(frames_F.shape, generator=torch.Generator().manual_seed(seed))
    return 15.0 + 5.0 * (frames_F + 0.1 * noise).flatten(0, 1)  # at the level of speech


def sample(
    text: str, answer: str | None = None, task: str = "asr_en", num_clips: int = 1, seed: int = 0
) -> Batch:
    """One sample: clips that say `text`, a question mark, the answer (the text itself) and the end."""
    features = [clip(text, seed)] * num_clips
    num_tokens = sum(len(frames) for frames in features) // 8
    answer_ids = [*TOKENIZER.encode(text if answer is None else answer), END]
    ids_T = torch.tensor([SLOT] * num_tokens + TOKENIZER.encode("?") + answer_ids)
    labels_T = torch.full_like(ids_T, IGNORE_INDEX)
    labels_T[num_tokens : num_tokens + len(answer_ids)] = torch.tensor(answer_ids)
    return Batch(
        input_ids_T=ids_T,
        position_ids_T=torch.arange(len(ids_T)),
        labels_T=labels_T,
        sample_lengths=(len(ids_T),),
        modes=("speech",),
        tasks=(task,),
        keys=(f"shard/{text}",),
        media={
            "audio": AudioInputs(
                torch.cat(features),
                tuple(map(len, features)),
                ("speech",) * num_clips,
                torch.arange(num_tokens),
            )
        }
        if num_clips
        else {},
    )


def packed(*samples: Batch) -> Batch:
    """The samples in one batch."""
    lengths = [len(batch.input_ids_T) for batch in samples]
    starts = [0, *accumulate(lengths)]
    audio = [
        replace(inputs, positions=inputs.positions + start)
        for batch, start in zip(samples, starts, strict=False)
        if isinstance(inputs := batch.media.get("audio"), AudioInputs)
    ]
    return Batch(
        input_ids_T=torch.cat([batch.input_ids_T for batch in samples]),
        position_ids_T=torch.cat([batch.position_ids_T for batch in samples]),
        labels_T=torch.cat([batch.labels_T for batch in samples]),
        sample_lengths=tuple(lengths),
        modes=sum((batch.modes for batch in samples), ()),
        tasks=sum((batch.tasks for batch in samples), ()),
        keys=sum((batch.keys for batch in samples), ()),
        media={
            "audio": AudioInputs(
                torch.cat([inputs.features_FM for inputs in audio]),
                sum((inputs.num_frames for inputs in audio), ()),
                sum((inputs.projectors for inputs in audio), ()),
                torch.cat([inputs.positions for inputs in audio]),
            )
        }
        if audio
        else {},
    )


def speech_module(
    auxiliary: WeightedLoss | None, trainable: tuple[str, ...] = AUDIO, max_steps: int = 20, lr: float = 1e-2
) -> StageModule:
    """A module on a fresh model, outside of a Trainer."""
    model = build_model(SPEECH_SHAPE, ("language_model", *AUDIO), seed=0)
    schedule = Schedule(lr, max_steps, ScheduleKind.constant, 0, 0.1, 0.0)
    auxiliaries = [] if auxiliary is None else [auxiliary]
    return build_module(model, trainable, ADAMW, schedule, auxiliaries=auxiliaries)


def train(module: StageModule, *micro_batches: Batch) -> StageModule:
    """One step."""
    module.training_step(step(*micro_batches, number=module.next_step), 0)
    return module
