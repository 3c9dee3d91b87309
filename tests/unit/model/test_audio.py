"""The audio tower: each clip takes its own projector, and only what learns is recorded."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from phi4train.batch import AudioInputs, Batch
from phi4train.model.audio import (
    AudioEncoder,
    AudioProjector,
    AudioTower,
    init_audio_encoder,
    init_audio_projector,
)
from phi4train.model.audio_encoder import num_audio_tokens
from phi4train.model.phi4 import Phi4Model
from phi4train.model.shapes import AudioShape

SHAPE = AudioShape(
    num_mels=8,
    hidden_dim=16,
    intermediate_dim=24,
    num_layers=2,
    num_heads=2,
    subsampling_channels=4,
    window_tokens=6,
    bias_max_distance=4,
)
BOTH = ("speech", "vision_speech")


def build(*projectors: str) -> AudioTower:
    encoder = AudioEncoder(SHAPE)
    init_audio_encoder(encoder, torch.Generator().manual_seed(0))
    built = {name: AudioProjector(SHAPE, output_dim=12) for name in projectors}
    for name, projector in built.items():
        init_audio_projector(projector, torch.Generator().manual_seed(BOTH.index(name) + 1))
    return AudioTower(encoder, built)


def clips(*clips: tuple[int, str], seed: int = 3) -> AudioInputs:
    """Random clips of (frames, projector)."""
    num_frames = tuple(frames for frames, _ in clips)
    features = torch.randn(sum(num_frames), 8, generator=torch.Generator().manual_seed(seed))
    num_tokens = sum(num_audio_tokens(frames) for frames in num_frames)
    return AudioInputs(features, num_frames, tuple(name for _, name in clips), torch.arange(num_tokens))


MIXED = clips((20, "vision_speech"), (90, "speech"), (8, "speech"), (7, "vision_speech"), (64, "speech"))


def separate(batch: AudioInputs) -> list[AudioInputs]:
    return [
        AudioInputs(features, (len(features),), (name,), torch.arange(num_audio_tokens(len(features))))
        for features, name in zip(batch.features_FM.split(batch.num_frames), batch.projectors, strict=True)
    ]


def test_clips_of_a_batch_equal_each_alone_whatever_their_projectors() -> None:
    tower = build(*BOTH)
    alone = torch.cat([tower(clip) for clip in separate(MIXED)])
    torch.testing.assert_close(tower(MIXED), alone, rtol=0, atol=1e-5)


def test_each_clip_takes_the_projector_that_it_names() -> None:
    both, encoder = build(*BOTH), build("speech").encoder
    for clip in separate(MIXED):
        expected = both.projectors[clip.projectors[0]](encoder(clip.features_FM, clip.num_frames))
        torch.testing.assert_close(both(clip), expected, rtol=0, atol=1e-6)
    swapped = replace(MIXED, projectors=tuple(BOTH[1 - BOTH.index(name)] for name in MIXED.projectors))
    assert (both(MIXED) - both(swapped)).abs().amax(dim=1).min() > 1e-3


def test_a_projector_runs_once_for_all_its_clips() -> None:
    tower, rows = build(*BOTH), dict[str, list[int]]()
    for name, projector in tower.projectors.items():
        projector.register_forward_hook(
            lambda module, args, output, name=name: rows.setdefault(name, []).append(len(output))
        )
    tower(MIXED)
    assert rows == {"speech": [12 + 1 + 8], "vision_speech": [3 + 1]}


def test_a_frozen_encoder_records_no_graph_while_the_projector_learns() -> None:
    tower = build(*BOTH)
    tower.encoder.requires_grad_(False)
    recorded: list[bool] = []

    def note(module: nn.Module, args: object, output: Tensor) -> None:
        recorded.append(torch.is_grad_enabled() or output.grad_fn is not None)

    tower.encoder.register_forward_hook(note)
    tower(MIXED).sum().backward()
    assert recorded == [False]
    assert all(parameter.grad is not None for parameter in tower.projectors.parameters())


def test_one_trainable_parameter_is_enough_to_record_the_encoder() -> None:
    tower = build("speech")
    tower.requires_grad_(False)
    tower.encoder.embed.conv[0].bias.requires_grad_()
    tower(clips((90, "speech"))).square().mean().backward()
    assert tower.encoder.embed.conv[0].bias.grad is not None


def test_every_parameter_that_exists_for_training_gets_a_gradient() -> None:
    tower = build(*BOTH)
    tower(MIXED).square().mean().backward()
    assert [name for name, parameter in tower.named_parameters() if parameter.grad is None] == []


def test_a_clip_whose_projector_is_not_installed_is_refused() -> None:
    expected = (
        r"found clips for \['vision_speech'\] and projectors for \['speech'\] · "
        r"add the component audio_projector\.vision_speech"
    )
    with pytest.raises(ValueError, match=expected):
        build("speech")(MIXED)


def test_a_clip_without_the_name_of_a_projector_is_refused() -> None:
    with pytest.raises(ValueError, match=r"one projector a clip · found 4 for 5 clips · name"):
        build(*BOTH)(replace(MIXED, projectors=MIXED.projectors[1:]))


def test_tokens_that_do_not_fill_their_slots_are_refused() -> None:
    wrong = replace(MIXED, positions=torch.arange(5))
    with pytest.raises(ValueError, match=r"one slot per audio token · found 5 slots for 25 tokens · count"):
        build(*BOTH)(wrong)


COMPONENTS = (
    *("audio_encoder", "audio_projector.speech", "audio_projector.vision_speech"),
    *("lora.vision", "lora.speech"),
)
SLOTS = slice(2, 5)
"""Where in a sample of ten tokens its clip of 20 frames goes."""


def hear(text: Batch, *heard: tuple[str, int]) -> Batch:
    """Puts a clip of (projector, seed) into each sample of ten tokens."""
    one_each = [clips((20, projector), seed=seed) for projector, seed in heard]
    starts = torch.arange(0, 10 * len(heard), 10)[:, None]
    audio = AudioInputs(
        features_FM=torch.cat([clip.features_FM for clip in one_each]),
        num_frames=(20,) * len(heard),
        projectors=tuple(projector for projector, _ in heard),
        positions=(starts + torch.arange(10)[SLOTS]).flatten(),
    )
    return replace(text, media={"audio": audio})


def test_a_sample_with_audio_does_not_depend_on_the_samples_beside_it(
    make_model: Callable[..., Phi4Model],
    make_batch: Callable[..., Batch],
    split_batch: Callable[[Batch], list[Batch]],
) -> None:
    model, text = make_model(*COMPONENTS), make_batch((10, 10), ("speech", "vision_speech"))
    heard = (("speech", 1), ("vision_speech", 2))
    alone = [model(hear(part, clip)) for part, clip in zip(split_batch(text), heard, strict=True)]
    torch.testing.assert_close(model(hear(text, *heard)), torch.cat(alone), rtol=0, atol=1e-5)


def test_changing_a_clip_changes_nothing_before_it(
    make_model: Callable[..., Phi4Model], make_batch: Callable[..., Batch]
) -> None:
    model, text = make_model(*COMPONENTS), make_batch((10,), ("speech",))
    one, other = (model(hear(text, ("speech", seed))) for seed in (1, 2))
    moved = (one - other).abs().amax(dim=1)
    assert not moved[: SLOTS.start].any()
    assert moved[SLOTS.start :].min() > 1e-4
