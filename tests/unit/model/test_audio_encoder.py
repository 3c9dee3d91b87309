"""The encoder of audio clips: what its tokens depend on, how they are grouped, and how it starts."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from phi4train.data.media import audio_features
from phi4train.model import audio_encoder
from phi4train.model.audio_conformer import ConformerBlock
from phi4train.model.audio_encoder import AudioEncoder, init_audio_encoder, num_audio_tokens
from phi4train.model.shapes import AudioShape

SHAPE = AudioShape(
    num_mels=12,
    hidden_dim=16,
    intermediate_dim=24,
    num_layers=2,
    num_heads=2,
    subsampling_channels=6,
    window_tokens=10,
    bias_max_distance=4,
)
LENGTHS = (70, 1, 8, 200, 80, 9, 81, 65, 333)
"""Frames of clips: less than a token, whole tokens, a whole window, and several windows with a rest."""


def build(seed: int = 0, shape: AudioShape = SHAPE) -> AudioEncoder:
    encoder = AudioEncoder(shape)
    init_audio_encoder(encoder, torch.Generator().manual_seed(seed))
    return encoder


def random_features(num_frames: int, seed: int = 1) -> Tensor:
    return 3.0 * torch.randn(num_frames, 12, generator=torch.Generator().manual_seed(seed)) + 10.0


def test_the_released_size_counts_as_published() -> None:
    with torch.device("meta"):
        encoder = AudioEncoder(AudioShape())

    def count(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters())

    assert count(encoder.embed) == 12_616_704
    assert count(encoder.encoders[0]) == 17_858_560
    assert count(encoder.relative_attention_bias_layer) == 16_000
    assert count(encoder) == 441_238_144


def test_model_and_data_count_tokens_alike() -> None:
    for frames in range(40):
        assert num_audio_tokens(frames) == audio_features.num_audio_tokens(frames)
    assert build()(random_features(41), (41,)).shape == (6, 16)


@pytest.mark.parametrize("max_padded_fraction", [0.0, 0.2, 0.95])
def test_clips_of_a_batch_equal_each_alone(
    max_padded_fraction: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audio_encoder, "_MAX_PADDED_FRACTION", max_padded_fraction)
    encoder, features = build(), random_features(sum(LENGTHS))
    alone = [encoder(clip, (len(clip),)) for clip in features.split(LENGTHS)]
    torch.testing.assert_close(encoder(features, LENGTHS), torch.cat(alone), rtol=0, atol=1e-5)


@pytest.mark.parametrize("piece_tokens", [1, 3, 7, 10, 10_000])
@pytest.mark.parametrize("group_tokens", [1, 25, 10_000])
def test_the_sizes_of_pieces_and_groups_do_not_change_the_tokens(
    piece_tokens: int, group_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, features = build(), random_features(sum(LENGTHS))
    expected = encoder(features, LENGTHS)
    monkeypatch.setattr(audio_encoder, "_PIECE_TOKENS", piece_tokens)
    monkeypatch.setattr(audio_encoder, "_GROUP_TOKENS", group_tokens)
    torch.testing.assert_close(encoder(features, LENGTHS), expected, rtol=0, atol=1e-5)


def test_convolving_in_pieces_equals_padded_convolutions_of_the_whole_clip() -> None:
    encoder = build()
    embed = encoder.embed
    with torch.no_grad():
        for layer in embed.conv.children():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                layer.bias.fill_(1.0)  # as trained ones, not 0: a map must not go on beyond its clip
    for frames in (1, 7, 64, 69, 70, 333):
        features = random_features(frames)
        hidden = encoder.encoder_embedding(features)[None, None]
        for layer in embed.conv:
            if isinstance(layer, nn.Conv2d):
                padding = 1 if layer.kernel_size[0] == 3 else 0
                hidden = F.conv2d(hidden, layer.weight, layer.bias, layer.stride, padding, 1, layer.groups)
            else:
                hidden = hidden.relu()
        whole = embed.out(hidden.transpose(1, 2).flatten(2))[0]
        window = audio_encoder.Window(0, len(whole), 0, frames, 0)
        pieces = encoder._embed_group(features, [window])[0]
        torch.testing.assert_close(pieces, whole, rtol=0, atol=1e-5)


def reached_frames(tokens: slice) -> Tensor:
    """Frames of a clip of 25 tokens, in windows of 10, that some of its tokens depend on."""
    features = random_features(200).requires_grad_()
    build()(features, (200,))[tokens].square().sum().backward()
    assert features.grad is not None
    return features.grad.abs().amax(dim=1).nonzero().squeeze(1)


def test_a_window_sees_itself_and_seven_frames_before_and_nothing_else() -> None:
    assert reached_frames(slice(0, 1)).tolist() == list(range(80))
    assert reached_frames(slice(10, 11)).tolist() == list(range(73, 160))
    assert reached_frames(slice(20, 25)).tolist() == list(range(153, 200))


def test_tokens_know_their_order() -> None:
    encoder = build()
    with torch.no_grad():
        for block in encoder.encoders:  # without the convolutions only the bias tells positions apart
            block.conv.ext_pw_conv_1d.weight.zero_()
    hidden = torch.randn(1, 10, 16, generator=torch.Generator().manual_seed(2))
    bias = encoder.relative_attention_bias_layer(torch.arange(10), None)
    forth = encoder.encoders[0](hidden, bias)
    back = encoder.encoders[0](hidden.flip(1), bias).flip(1)
    assert (forth - back).abs().max() > 1e-3
    torch.testing.assert_close(
        encoder.encoders[0](hidden, 0 * bias),
        encoder.encoders[0](hidden.flip(1), 0 * bias).flip(1),
        rtol=0,
        atol=1e-5,
    )


def test_groups_are_alike_in_length_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio_encoder, "_GROUP_TOKENS", 40)
    monkeypatch.setattr(audio_encoder, "_FREE_PADDING_TOKENS", 4)
    windows = audio_encoder._cut_windows([*LENGTHS, *range(8, 88, 8), 800], 10)
    groups = list(audio_encoder._group_windows(windows))
    assert sorted(window for group in groups for window in group) == sorted(windows)
    for group in groups:
        lengths = [window.num_tokens for window in group]
        assert lengths[0] == max(lengths)
        assert len(group) * lengths[0] <= 40
        padding = sum(lengths[0] - length for length in lengths)
        assert min(lengths) >= 0.8 * lengths[0] or padding <= 4
    assert max(len(group) for group in groups) > 1


def test_statistics_normalise_each_band() -> None:
    encoder, raw = build(), random_features(100)
    encoder.encoder_embedding.global_mean.fill_(0.0)
    encoder.encoder_embedding.global_invstd.fill_(1.0)
    expected = encoder((raw - 10.0) / 3.0, (100,))
    encoder.encoder_embedding.global_mean.fill_(10.0)
    encoder.encoder_embedding.global_invstd.fill_(1 / 3.0)
    torch.testing.assert_close(encoder(raw, (100,)), expected, rtol=0, atol=1e-5)


def test_training_does_not_move_the_statistics() -> None:
    encoder = build().train()
    before = encoder.encoder_embedding.global_mean.clone()
    encoder(random_features(100), (100,)).square().mean().backward()
    assert torch.equal(encoder.encoder_embedding.global_mean, before)
    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_recomputed_activations_give_the_same_gradients(
    dropout: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    forward = ConformerBlock.forward

    def counting(self: ConformerBlock, hidden: Tensor, bias: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return forward(self, hidden, bias)

    monkeypatch.setattr(ConformerBlock, "forward", counting)
    shape = AudioShape(**{**vars(SHAPE), "dropout": dropout})
    gradients, forwards = [], []
    for recompute in (False, True):
        encoder = build(shape=shape).train()
        encoder.activation_checkpointing = recompute
        calls = 0
        torch.manual_seed(0)
        encoder(random_features(100), (55, 45)).square().sum(dim=0).sin().mean().backward()
        forwards.append(calls)
        gradients.append([parameter.grad for parameter in encoder.parameters()])
    assert forwards[1] == 2 * forwards[0]
    assert all(gradient is not None for gradient in gradients[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)


def test_nothing_is_recomputed_without_gradients() -> None:
    encoder = build()
    encoder.activation_checkpointing = True
    with torch.no_grad():
        assert not encoder(random_features(20), (20,)).requires_grad


def test_tokens_are_in_the_dtype_of_the_weights() -> None:
    tokens = build().bfloat16()(random_features(sum(LENGTHS)), LENGTHS)
    assert tokens.dtype == torch.bfloat16
    assert tokens.isfinite().all()


@pytest.mark.parametrize("lengths", [(), (20, 0), (19,), (20, 20)])
def test_empty_clips_and_features_of_other_clips_are_refused(lengths: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"12 mel bands of the frames .* · found shape \(20, 12\) .* · make"):
        build()(random_features(20), lengths)


def test_features_of_another_number_of_bands_are_refused() -> None:
    with pytest.raises(ValueError, match=r"found shape \(20, 11\)"):
        build()(random_features(20)[:, 1:], (20,))


def test_init_fills_every_parameter_and_buffer_from_its_generator_alone() -> None:
    global_state = torch.random.get_rng_state()
    states = []
    for seed in (3, 3, 4):
        with torch.device("meta"):
            encoder = AudioEncoder(SHAPE)
        generator = torch.Generator().manual_seed(seed)
        init_audio_encoder(encoder, generator)  # a no-op on meta
        assert torch.equal(generator.get_state(), torch.Generator().manual_seed(seed).get_state())
        encoder.to_empty(device="cpu")
        for tensor in encoder.state_dict().values():
            tensor.fill_(torch.nan)
        init_audio_encoder(encoder, generator)
        states.append(encoder.state_dict())
    assert torch.equal(torch.random.get_rng_state(), global_state)
    first, again, other = states
    assert all(tensor.isfinite().all() for tensor in first.values())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["embed.conv.0.weight"], other["embed.conv.0.weight"])


def test_init_lets_a_small_encoder_learn_which_band_is_loud() -> None:
    shape = AudioShape(**{**vars(SHAPE), "hidden_dim": 32, "intermediate_dim": 48, "subsampling_channels": 8})
    encoder, head = build(shape=shape), nn.Linear(32, 4, bias=False)
    nn.init.zeros_(head.weight)
    generator = torch.Generator().manual_seed(0)
    target = torch.randint(4, (40,), generator=generator)
    features = random_features(320).view(40, 8, 4, 3)
    features[torch.arange(40), :, target] += 4.0
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(50):
        loss = F.cross_entropy(head(encoder(features.view(320, 12), (80, 80, 160))), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
