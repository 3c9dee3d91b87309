"""The conformer block: what each token may see, and where padding may not reach."""

import pytest
import torch
from torch import Tensor, nn

from phi4train.model.audio_conformer import (
    AudioAttention,
    AudioMlp,
    CausalSeparableConv,
    ConformerBlock,
    GatedPointwise,
    RelativeBias,
)
from phi4train.model.shapes import AudioShape

SHAPE = AudioShape(8, 32, 48, 2, 2, subsampling_channels=8, window_tokens=5, bias_max_distance=4)


def filled(module: nn.Module, seed: int = 0) -> nn.Module:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    return module.eval()


def tokens(windows: int, length: int, seed: int = 0) -> Tensor:
    return torch.randn(windows, length, SHAPE.hidden_dim, generator=torch.Generator().manual_seed(seed))


@torch.no_grad()
def test_windows_of_a_batch_equal_each_alone() -> None:
    block, bias = filled(ConformerBlock(SHAPE)), filled(RelativeBias(SHAPE))
    hidden_WTD, bias_WHTT = tokens(3, 5), bias(torch.arange(5), None)
    together = block(hidden_WTD, bias_WHTT)
    assert together.shape == hidden_WTD.shape
    for number in range(3):
        alone = block(hidden_WTD[number : number + 1], bias_WHTT)
        torch.testing.assert_close(together[number], alone[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_a_padded_window_equals_the_shorter_one_where_it_is_not_padding() -> None:
    block, bias = filled(ConformerBlock(SHAPE)), filled(RelativeBias(SHAPE))
    short_WTD = tokens(1, 3)
    padded_WT = torch.tensor([[False, False, False, True, True]])
    alone = block(short_WTD, bias(torch.arange(3), None))
    for filler in (0.0, 7.0):
        long_WTD = torch.cat([short_WTD, torch.full((1, 2, SHAPE.hidden_dim), filler)], dim=1)
        beside = block(long_WTD, bias(torch.arange(5), padded_WT))
        torch.testing.assert_close(beside[:, :3], alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_the_convolution_sees_its_kernel_of_the_past_and_nothing_ahead() -> None:
    conv, before = filled(CausalSeparableConv(SHAPE.hidden_dim, 3)), tokens(1, 9)
    changed = before.clone()
    changed[0, 4] += 1
    moved = (conv(before) != conv(changed)).any(dim=-1)[0]
    assert moved.nonzero().squeeze(1).tolist() == [4, 5, 6]


@torch.no_grad()
@pytest.mark.parametrize("layer", [AudioMlp(SHAPE), GatedPointwise(SHAPE.hidden_dim)], ids=["mlp", "gate"])
def test_what_is_not_attention_or_convolution_is_token_by_token(layer: nn.Module) -> None:
    layer, hidden_WTD = filled(layer), tokens(2, 4)
    shuffled = [2, 0, 3, 1]
    torch.testing.assert_close(layer(hidden_WTD)[:, shuffled], layer(hidden_WTD[:, shuffled]))


@torch.no_grad()
def test_without_a_bias_attention_knows_no_order_and_a_masked_key_is_not_seen() -> None:
    attention, hidden_WTD = filled(AudioAttention(SHAPE)), tokens(1, 5)
    none = torch.zeros(1, 1, 5, 5)
    shuffled = [4, 2, 0, 1, 3]
    torch.testing.assert_close(
        attention(hidden_WTD, none)[:, shuffled],
        attention(hidden_WTD[:, shuffled], none),
        atol=1e-5,
        rtol=1e-5,
    )
    masked = none.clone()
    masked[..., 1] = -torch.inf
    changed = hidden_WTD.clone()
    changed[0, 1] += 1
    others = [0, 2, 3, 4]
    assert torch.equal(attention(hidden_WTD, masked)[:, others], attention(changed, masked)[:, others])
    assert not torch.equal(attention(hidden_WTD, none)[:, others], attention(changed, none)[:, others])


@torch.no_grad()
def test_the_bias_follows_from_the_signed_distance_and_stays_the_same_far_away() -> None:
    bias = filled(RelativeBias(SHAPE))
    bias_HTT = bias(torch.arange(9), None)[0]
    for offset in range(-8, 9):
        diagonal = bias_HTT.diagonal(offset, dim1=1, dim2=2)
        assert (diagonal == diagonal[:, :1]).all(), offset
    assert torch.equal(bias_HTT[:, 0, 3], bias_HTT[:, 0, 8]), "as far as it looks ahead"
    assert torch.equal(bias_HTT[:, 8, 4], bias_HTT[:, 8, 0]), "and back"
    assert not torch.equal(bias_HTT[:, 0, 1], bias_HTT[:, 1, 0]), "ahead is not back"
    elsewhere_HTT = bias(torch.arange(9) + 40, None)[0]
    assert torch.equal(bias_HTT, elsewhere_HTT)


@torch.no_grad()
def test_dropout_acts_in_train_mode_alone() -> None:
    shape = AudioShape(8, 32, 48, 2, 2, subsampling_channels=8, dropout=0.5)
    block, hidden_WTD, none = filled(ConformerBlock(shape)), tokens(1, 4), torch.zeros(1, 1, 4, 4)
    assert torch.equal(block(hidden_WTD, none), block(hidden_WTD, none))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block.train()
        assert not torch.equal(block(hidden_WTD, none), block(hidden_WTD, none))
