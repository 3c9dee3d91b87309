"""What a record says of each media token, as a loss beside the stage's own."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.training.losses.loss import WeightedLoss
from phi4train.training.losses.reading import Reading
from tests.unit.training.tiny_speech import AUDIO, TOKENIZER, packed, sample, speech_module, train
from tests.unit.training.tiny_training import trainable_of

READING = "~a~~b~"


def read(batch: Batch, reading: str) -> Batch:
    """The sample with a reading of its clip's tokens."""
    readings_T = torch.full_like(batch.labels_T, IGNORE_INDEX)
    readings_T[: len(reading)] = torch.tensor(TOKENIZER.encode(reading))
    return replace(batch, readings_T=readings_T)


def test_the_loss_is_the_cross_entropy_of_normalised_tokens_against_the_embeddings() -> None:
    module, batch = speech_module(WeightedLoss(Reading(), 1.0)), read(sample("ab"), READING)
    tokens_ND = module.model.encoders["audio"](batch.media["audio"])
    normed_ND = tokens_ND / (tokens_ND.square().mean(1, keepdim=True) + 1e-5).sqrt()
    logits_NV = normed_ND @ module.model.head_weight.T
    expected = F.cross_entropy(logits_NV, torch.tensor(TOKENIZER.encode(READING)))
    train(module, batch)
    assert module.result is not None
    assert module.result.auxiliary_losses == {"reading": pytest.approx(expected.item(), abs=1e-5)}


def test_it_is_a_mean_over_all_slots_of_the_step() -> None:
    batches = [read(sample("ab"), READING), read(sample("h", seed=1), "~h~"), sample("d", seed=2)]
    module = speech_module(WeightedLoss(Reading(), 1.0))
    train(module, *batches)
    assert module.result is not None
    alone = []
    for batch in batches[:2]:
        other = speech_module(WeightedLoss(Reading(), 1.0))
        train(other, batch)
        assert other.result is not None
        alone.append(other.result.auxiliary_losses["reading"])
    expected = (6 * alone[0] + 3 * alone[1]) / 9
    assert module.result.auxiliary_losses["reading"] == pytest.approx(expected, abs=1e-5)


def test_one_micro_batch_equals_as_many_as_samples() -> None:
    batches = [
        read(sample("ab"), READING),
        sample("d", seed=1),
        read(sample("h", seed=2), "~h~"),
        read(sample("fe", seed=3), "f~~e~~"),
    ]
    readings = [
        IGNORE_INDEX * torch.ones_like(b.labels_T) if b.readings_T is None else b.readings_T for b in batches
    ]
    together, apart = speech_module(WeightedLoss(Reading(), 1.0)), speech_module(WeightedLoss(Reading(), 1.0))
    train(together, replace(packed(*batches), readings_T=torch.cat(readings)))
    train(apart, *batches)
    assert together.result is not None and apart.result is not None
    assert apart.result.auxiliary_losses == pytest.approx(together.result.auxiliary_losses, abs=1e-5)
    for name, parameter in trainable_of(together).items():
        torch.testing.assert_close(parameter.grad, trainable_of(apart)[name].grad, atol=1e-5, rtol=1e-3)


def test_only_what_makes_media_tokens_gets_a_gradient_from_it() -> None:
    trainable = ("language_model", *AUDIO)
    on, off = speech_module(WeightedLoss(Reading(), 1e3), trainable), speech_module(None, trainable)
    for module in (on, off):
        module.gradient_clip_val = 0
        train(module, read(sample("ab"), READING))
    for name, parameter in trainable_of(off).items():
        other = trainable_of(on)[name].grad
        assert parameter.grad is not None and other is not None
        assert torch.equal(parameter.grad, other) == name.startswith("language_model/"), name


def test_without_readings_or_weight_the_step_is_the_same_to_the_last_bit() -> None:
    off, unread, on = (
        speech_module(None),
        speech_module(WeightedLoss(Reading(), 1.0)),
        speech_module(WeightedLoss(Reading(), 1.0)),
    )
    batch = sample("ab")
    train(off, read(batch, READING))
    train(unread, batch)
    train(on, read(batch, READING))
    name = "audio_projector.speech/down_proj.weight"
    assert torch.equal(trainable_of(off)[name], trainable_of(unread)[name])
    assert not torch.equal(trainable_of(off)[name], trainable_of(on)[name])
    assert unread.result is not None and unread.result.auxiliary_losses == {}


def test_tokens_come_to_look_like_what_they_read() -> None:
    module, batch = (
        speech_module(WeightedLoss(Reading(), 10.0), max_steps=60, lr=1e-2),
        read(sample("ab"), READING),
    )
    losses = []
    for _ in range(60):
        train(module, batch)
        assert module.result is not None
        losses.append(module.result.auxiliary_losses["reading"])
    assert losses[-1] < 0.5 * losses[0]
