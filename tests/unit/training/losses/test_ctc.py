"""CTC of audio tokens beside the loss: which clips have one, how it is normalised, and that off means off."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from phi4train.batch import AudioInputs, Batch
from phi4train.checkpoint.training_state import CheckpointFolder, load_training_state
from phi4train.errors import ConfigError
from phi4train.model.ownership import Ownership
from phi4train.training.checkpointing import capture_state, restore_state
from phi4train.training.losses.ctc import build_ctc
from phi4train.training.losses.loss import WeightedLoss
from phi4train.training.module import StageModule
from phi4train.training.watching import metric_keys as keys
from phi4train.training.watching.metrics import step_metrics
from phi4train.training.watching.progress import Progress
from tests.unit.training.tiny_speech import (
    AUDIO,
    TOKENIZER,
    ctc,
    packed,
    sample,
    speech_module,
    train,
    weighted_ctc,
)
from tests.unit.training.tiny_training import step, trainable_of

SAMPLES = [
    sample("abc"),
    sample("ddeh", seed=1),
    sample("gf", task="ast_de", seed=2),
    sample("h", seed=3),
    sample("", answer="abcdefgh"),
    sample("b", num_clips=0),
]
"""Of these, the first, the second and the fourth have a CTC loss."""


CTC_LOSS = keys.AUXILIARY_LOSS.format(name="ctc")


def ids(text: str) -> list[int]:
    return TOKENIZER.encode(text)


def weights_after(module: StageModule) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in trainable_of(module).items()}


def assert_equal_steps(one: StageModule, other: StageModule) -> None:
    assert one.result is not None and other.result is not None and one.result.auxiliary_losses
    assert other.result.loss == pytest.approx(one.result.loss, abs=1e-5)
    assert other.result.auxiliary_losses["ctc"] == pytest.approx(one.result.auxiliary_losses["ctc"], abs=1e-5)
    for name, parameter in trainable_of(one).items():
        grad, other_grad = parameter.grad, trainable_of(other)[name].grad
        assert grad is not None and other_grad is not None
        torch.testing.assert_close(other_grad, grad, atol=1e-5, rtol=1e-4)


def test_only_clips_that_say_the_answer_of_a_listed_task_have_a_loss() -> None:
    batch = packed(*SAMPLES)
    clips = ctc().select(batch)
    assert list(clips.targets) == [ids("abc"), ids("ddeh"), ids("h")]
    assert clips.num_targets == 8
    starts = torch.tensor([0, *batch.sample_lengths]).cumsum(0)
    assert [positions.tolist() for positions in clips.positions] == [
        list(range(starts[i], starts[i] + num_tokens)) for i, num_tokens in ((0, 9), (1, 12), (3, 3))
    ]
    assert list(ctc(tasks=["ast"]).select(batch).targets) == [ids("gf")]
    assert list(ctc(tasks=["asr", "ast"]).select(batch).targets) == [
        ids(t) for t in ("abc", "ddeh", "gf", "h")
    ]


def test_what_cannot_be_heard_is_no_part_of_the_target() -> None:
    (target,) = ctc().select(sample("abc", answer=" a \t~b?c")).targets
    assert target == ids("ab?c")
    assert ctc().select(sample("abc", answer=" ~ ")).num_targets == 0


@pytest.mark.parametrize("others", [(), (sample("fe"),)])
def test_a_sample_with_two_clips_has_no_loss(others: tuple[Batch, ...]) -> None:
    assert len(ctc().select(packed(sample("abc", num_clips=2), *others)).targets) == len(others)


def test_a_clip_too_short_for_its_target_is_left_out() -> None:
    fits, too_short = sample("a", answer="aa"), sample("a", answer="aab")
    assert [len(ctc().select(batch).targets) for batch in (fits, too_short)] == [1, 0]
    alone, beside = speech_module(weighted_ctc()), speech_module(weighted_ctc())
    train(alone, sample("abc"))
    train(beside, packed(sample("abc"), too_short))
    assert alone.result is not None and beside.result is not None
    assert beside.result.auxiliary_losses["ctc"] == pytest.approx(
        alone.result.auxiliary_losses["ctc"], abs=1e-5
    )
    assert not beside.result.is_skipped
    train(beside, too_short)
    assert not beside.result.auxiliary_losses and not beside.result.is_skipped


def test_the_loss_is_that_of_normalised_projected_tokens_against_the_embeddings() -> None:
    module, batch = speech_module(weighted_ctc()), sample("adda")
    model = module.model
    tokens_ND = model.encoders["audio"](batch.media["audio"])
    normed_ND = tokens_ND / (tokens_ND.square().mean(1, keepdim=True) + 1e-5).sqrt()
    log_probs_NV = (normed_ND @ model.head_weight.T).log_softmax(1)
    target = torch.tensor(ids("adda"))
    expected = F.ctc_loss(log_probs_NV, target, (len(tokens_ND),), (4,), ids("~")[0], reduction="sum") / 4
    train(module, batch)
    assert module.result is not None
    assert module.result.auxiliary_losses["ctc"] == pytest.approx(expected.item(), abs=1e-5)


def test_one_micro_batch_equals_as_many_as_samples() -> None:
    together, apart = speech_module(weighted_ctc()), speech_module(weighted_ctc())
    train(together, packed(*SAMPLES))
    train(apart, *SAMPLES)
    assert_equal_steps(together, apart)


def test_the_weight_scales_the_gradient_and_not_the_reported_losses() -> None:
    gradients, losses = [], []
    for weight in (0.5, 1.0, 1.5):
        module = train(speech_module(weighted_ctc(weight)), packed(*SAMPLES))
        assert module.result is not None
        losses.append((module.result.loss, module.result.auxiliary_losses["ctc"]))
        total = module.result.grad_norm
        scale = min(1.0, module.gradient_clip_val / total)  # what clipping left
        grad = trainable_of(module)["audio_projector.speech/down_proj.weight"].grad
        assert grad is not None
        gradients.append(grad / scale)
    assert losses[0] == losses[1] == losses[2]
    torch.testing.assert_close(gradients[1] - gradients[0], gradients[2] - gradients[1], atol=1e-5, rtol=1e-3)
    assert (gradients[1] - gradients[0]).norm() > 1e-2


def test_off_or_without_clips_the_step_is_the_same_to_the_last_bit() -> None:
    batch = packed(*SAMPLES)
    off, without_clips, on = (
        speech_module(None),
        speech_module(WeightedLoss(ctc(tasks=["sqa"]), 1.0)),
        speech_module(weighted_ctc()),
    )
    for module in (off, without_clips, on):
        train(module, batch)
        train(module, batch)
    assert off.result == without_clips.result and off.result is not None and not off.result.auxiliary_losses
    for name, weight in weights_after(off).items():
        assert torch.equal(weight, trainable_of(without_clips)[name]), name
    assert not all(torch.equal(w, trainable_of(on)[name]) for name, w in weights_after(off).items())


def test_the_audio_encoder_runs_once_a_step() -> None:
    module, runs = speech_module(weighted_ctc()), []
    module.model.encoders["audio"].register_forward_hook(lambda *_: runs.append(1))
    train(module, packed(*SAMPLES))
    assert len(runs) == 1


def test_a_language_model_that_trains_gets_no_gradient_from_it() -> None:
    trainable = ("language_model", *AUDIO)
    batch = sample("abc")
    on, off = speech_module(weighted_ctc(1e3), trainable), speech_module(None, trainable)
    for module in (on, off):
        module.gradient_clip_val = 0
        train(module, batch)
    for name, parameter in trainable_of(off).items():
        other = trainable_of(on)[name].grad
        assert parameter.grad is not None and other is not None
        assert torch.equal(parameter.grad, other) == name.startswith("language_model/"), name


def test_a_restored_module_goes_on_to_the_last_bit(tmp_path: Path) -> None:
    batches = [packed(*(sample("abcdefgh"[n : n + 4], seed=n + i) for i in range(3))) for n in range(4)]
    straight, first, second = (speech_module(weighted_ctc()) for _ in range(3))
    for batch in batches:
        train(straight, batch)
    for batch in batches[:2]:
        train(first, batch)
    folder = CheckpointFolder(tmp_path, keep_last_n=1, keep_every_n=0)
    state = load_training_state(
        folder.save(capture_state(first, Ownership(first.model), AUDIO, Progress(), {}, step=2))
    )
    restore_state(second, Ownership(second.model), AUDIO, state)
    second.next_step = 2
    for batch in batches[2:]:
        train(second, batch)
    assert straight.result == second.result
    for name, weight in weights_after(straight).items():
        assert torch.equal(weight, trainable_of(second)[name]), name


def test_it_is_a_metric_of_its_own_where_it_is_on() -> None:
    for auxiliary in (weighted_ctc(), None):
        module, batch = speech_module(auxiliary), step(sample("abc"))
        module.training_step(batch, 0)
        assert module.result is not None
        metrics = step_metrics(module.result, batch, 1.0, 0.0)
        assert metrics.get(CTC_LOSS) == module.result.auxiliary_losses.get("ctc")
        assert (CTC_LOSS in metrics) == (auxiliary is not None)


def test_a_loss_that_is_not_finite_is_a_bad_step() -> None:
    module, batch = speech_module(weighted_ctc()), sample("abc")
    audio = batch.media["audio"]
    assert isinstance(audio, AudioInputs)
    broken = replace(audio, features_FM=torch.full_like(audio.features_FM, torch.nan))
    before = weights_after(module)
    train(module, replace(batch, media={"audio": broken}))
    assert module.result is not None and module.result.is_skipped
    assert all(torch.equal(weight, trainable_of(module)[name]) for name, weight in before.items())


@pytest.mark.parametrize(("blank", "num_tokens"), [("ab", 2), ("", 0)])
def test_a_blank_of_more_or_less_than_a_token_is_refused(blank: str, num_tokens: int) -> None:
    match = rf"ctc_blank must be exactly one token.*'{blank}', which is {num_tokens}"
    with pytest.raises(ConfigError, match=match):
        build_ctc(["asr"], blank, TOKENIZER)  # type: ignore[arg-type]
