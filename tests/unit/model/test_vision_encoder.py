"""The encoder of image crops: what its features depend on, and what is allocated and initialised."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from phi4train.model.shapes import VisionShape
from phi4train.model.vision_encoder import (
    VisionEncoder,
    VisionEncoderLayer,
    init_vision_encoder,
    position_ids,
)

SHAPE = VisionShape(hidden_dim=16, intermediate_dim=32, num_layers=4, num_heads=2, crop_size=32, patch_size=4)
G = 8


def build(seed: int = 0, with_unused_parts: bool = False) -> VisionEncoder:
    encoder = VisionEncoder(SHAPE, with_unused_parts)
    init_vision_encoder(encoder, torch.Generator().manual_seed(seed))
    return encoder


def random_crops(count: int) -> Tensor:
    return torch.randn(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def mask_of(*sizes: tuple[int, int]) -> Tensor:
    """Masks whose valid part has the given (rows, columns)."""
    mask = torch.zeros(len(sizes), G, G, dtype=torch.bool)
    for crop, (rows, columns) in enumerate(sizes):
        mask[crop, :rows, :columns] = True
    return mask


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_the_released_size_counts_as_published_with_and_without_its_unused_parts() -> None:
    with torch.device("meta"):
        assert count(VisionEncoder(VisionShape(), with_unused_parts=True)) == 428_565_440
        assert count(VisionEncoder(VisionShape())) == 428_565_440 - 30_480_160


def test_unused_parts_do_not_change_the_features() -> None:
    full = build(with_unused_parts=True)
    live = VisionEncoder(SHAPE)
    missing, unexpected = live.load_state_dict(full.state_dict(), strict=False)
    assert not missing
    assert {name.split(".")[0] for name in unexpected} == {"encoder", "post_layernorm", "head"}
    crops, mask = random_crops(2), mask_of((8, 8), (5, 8))
    torch.testing.assert_close(live(crops, mask), full(crops, mask), rtol=0, atol=0)


def test_padding_never_changes_the_features_of_valid_patches() -> None:
    encoder, mask = build(), mask_of((8, 8), (5, 8), (8, 3))
    crops = random_crops(3)
    pixels_valid = mask.repeat_interleave(4, dim=1).repeat_interleave(4, dim=2)[:, None]
    changed = torch.where(pixels_valid, crops, 7.0)
    valid = mask.flatten(1)
    torch.testing.assert_close(encoder(crops, mask)[valid], encoder(changed, mask)[valid], rtol=0, atol=0)


@pytest.mark.parametrize("mask", [mask_of((8, 8)), mask_of((8, 7))])
def test_the_first_patch_sees_the_last_valid_one(mask: Tensor) -> None:
    crops = random_crops(1).requires_grad_()
    build()(crops, mask)[0, 0].sum().backward()
    assert crops.grad is not None
    column = int(mask[0, 0].sum()) - 1
    assert crops.grad[0, :, -4:, 4 * column : 4 * column + 4].abs().max() > 1e-6


def test_a_crop_without_padding_takes_no_mask_and_one_with_padding_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    masks: list[Tensor | None] = []
    original = F.scaled_dot_product_attention

    def spy(*args: Tensor, attn_mask: Tensor | None) -> Tensor:
        masks.append(attn_mask)
        return original(*args, attn_mask=attn_mask)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    encoder = build()
    encoder(random_crops(1), mask_of((8, 8)))
    assert masks == [None] * 3
    encoder(random_crops(1), mask_of((8, 7)))
    assert all(mask is not None and mask.sum() == 56 for mask in masks[3:])


def test_positions_stretch_the_valid_part_over_the_whole_table_and_padding_takes_position_zero() -> None:
    ids = position_ids(mask_of((8, 8), (4, 2))).view(2, G, G)
    assert ids[0].flatten().tolist() == list(range(64))
    assert ids[1, :4, :2].tolist() == [[0, 4], [16, 20], [32, 36], [48, 52]]
    assert ids[1].sum() == ids[1, :4, :2].sum()


def test_recomputed_activations_give_the_same_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    forward = VisionEncoderLayer.forward

    def counting(self: VisionEncoderLayer, hidden: Tensor, mask: Tensor | None) -> Tensor:
        nonlocal calls
        calls += 1
        return forward(self, hidden, mask)

    monkeypatch.setattr(VisionEncoderLayer, "forward", counting)
    gradients, forwards = [], []
    for recompute in (False, True):
        encoder = build()
        encoder.activation_checkpointing = recompute
        calls = 0
        encoder(random_crops(2), mask_of((8, 8), (5, 8))).square().mean().backward()
        forwards.append(calls)
        gradients.append([parameter.grad for parameter in encoder.parameters()])
    assert forwards == [3, 6]
    assert all(gradient is not None for gradient in gradients[0])
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0, atol=0)


def test_nothing_is_recomputed_without_gradients() -> None:
    encoder = build()
    encoder.activation_checkpointing = True
    with torch.no_grad():
        assert not encoder(random_crops(1), mask_of((8, 8))).requires_grad


def test_features_are_in_the_dtype_of_the_weights() -> None:
    features = build().bfloat16()(random_crops(1), mask_of((8, 7)))
    assert features.dtype == torch.bfloat16
    assert features.isfinite().all()


@pytest.mark.parametrize("with_unused_parts", [False, True])
def test_init_fills_every_parameter_from_its_generator_alone(with_unused_parts: bool) -> None:
    global_state = torch.random.get_rng_state()
    encoders = []
    for seed in (3, 3, 4):
        with torch.device("meta"):
            encoder = VisionEncoder(SHAPE, with_unused_parts)
        generator = torch.Generator().manual_seed(seed)
        init_vision_encoder(encoder, generator)  # a no-op on meta
        assert torch.equal(generator.get_state(), torch.Generator().manual_seed(seed).get_state())
        encoder.to_empty(device="cpu")
        for parameter in encoder.parameters():
            parameter.detach().fill_(torch.nan)
        init_vision_encoder(encoder, generator)
        encoders.append(encoder)
    assert torch.equal(torch.random.get_rng_state(), global_state)
    first, again, other = (encoder.state_dict() for encoder in encoders)
    assert all(tensor.isfinite().all() for tensor in first.values())
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(
        first["embeddings.patch_embedding.weight"], other["embeddings.patch_embedding.weight"]
    )


def test_init_keeps_the_scale_of_activations() -> None:
    shape = VisionShape(
        hidden_dim=128, intermediate_dim=512, num_layers=4, num_heads=4, crop_size=32, patch_size=4
    )
    encoder = VisionEncoder(shape)
    init_vision_encoder(encoder, torch.Generator().manual_seed(0))
    with torch.no_grad():
        scale = encoder(random_crops(4), mask_of(*[(8, 8)] * 4)).std()
    assert 0.5 < scale < 3.0
