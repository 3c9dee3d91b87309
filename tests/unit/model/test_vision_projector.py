"""The projector: which token stands where, and how many parameters it has."""

import pytest
import torch
from torch import Tensor

from phi4train.model.shapes import VisionShape
from phi4train.model.vision_projector import VisionProjector, init_vision_projector, merge_patches

SHAPE = VisionShape(hidden_dim=3, intermediate_dim=8, num_layers=2, num_heads=1, crop_size=16, patch_size=4)
G, M = 4, 2
ROW_END, VIEW_END = (91.0, 91.0, 91.0), (92.0, 92.0, 92.0)


def transparent_projector() -> VisionProjector:
    """Passes its input through: identity matrices, and GELU is the identity on the large values used here."""
    projector = VisionProjector(SHAPE, output_dim=3)
    with torch.no_grad():
        for layer in (projector.img_projection_up, projector.img_projection_down):
            layer.weight.copy_(torch.eye(3))
            layer.bias.zero_()
        projector.sub_img_feature_extensor.fill_(ROW_END[0])
        projector.global_img_feature_extensor.fill_(VIEW_END[0])
    return projector


def located_features(num_crops: int) -> Tensor:
    """Features that name their crop and merged row and column, each offset by 20; shape (C, P, 3)."""
    crop, y, x = torch.meshgrid(torch.arange(num_crops), torch.arange(G), torch.arange(G), indexing="ij")
    return 20.0 + torch.stack([crop, y // 2, x // 2], dim=-1).view(num_crops, G * G, 3).float()


def global_tokens(crop: int) -> list[tuple[float, ...]]:
    rows = ([(20.0 + crop, 20.0 + y, 20.0 + x) for x in range(M)] + [ROW_END] for y in range(M))
    return [VIEW_END, *(token for row in rows for token in row)]


def tokens_of(
    projector: VisionProjector, mask: Tensor, grids: tuple[tuple[int, int], ...]
) -> list[tuple[float, ...]]:
    return [tuple(token) for token in projector(located_features(len(mask)), mask, grids).tolist()]


def test_tokens_are_sub_rows_then_the_view_separator_then_global_rows() -> None:
    tokens = tokens_of(transparent_projector(), torch.ones(2, G, G, dtype=torch.bool), ((1, 1),))
    sub = [(21, 20, 20), (21, 20, 21), ROW_END, (21, 21, 20), (21, 21, 21), ROW_END]
    assert tokens == sub + global_tokens(0)


def test_rows_run_across_crops_and_padded_rows_and_columns_are_dropped() -> None:
    mask = torch.ones(5, G, G, dtype=torch.bool)
    mask[3:, 1:, :] = False  # lower crops: one valid row of patches keeps one row of tokens
    tokens = tokens_of(transparent_projector(), mask, ((2, 2),))
    rows = [
        [(21, 20, 20), (21, 20, 21), (22, 20, 20), (22, 20, 21), ROW_END],
        [(21, 21, 20), (21, 21, 21), (22, 21, 20), (22, 21, 21), ROW_END],
        [(23, 20, 20), (23, 20, 21), (24, 20, 20), (24, 20, 21), ROW_END],
    ]
    assert tokens == [token for row in rows for token in row] + global_tokens(0)


def test_images_follow_each_other_each_with_its_own_grid() -> None:
    mask = torch.ones(5, G, G, dtype=torch.bool)
    mask[4, :, 2:] = False  # the second image's right crop keeps one column of tokens
    tokens = tokens_of(transparent_projector(), mask, ((1, 1), (1, 2)))
    first = [(21, 20, 20), (21, 20, 21), ROW_END, (21, 21, 20), (21, 21, 21), ROW_END]
    second = [
        *((23, 20, 20), (23, 20, 21), (24, 20, 20), ROW_END),
        *((23, 21, 20), (23, 21, 21), (24, 21, 20), ROW_END),
    ]
    assert tokens == first + global_tokens(0) + second + global_tokens(2)


def test_merging_averages_two_by_two_patches() -> None:
    features = torch.arange(16.0).view(1, 16, 1)
    assert merge_patches(features).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_each_separator_learns_from_all_its_places() -> None:
    projector = transparent_projector()
    mask = torch.ones(5, G, G, dtype=torch.bool)
    projector(located_features(5), mask, ((1, 1), (1, 2))).sum().backward()
    assert projector.sub_img_feature_extensor.grad is not None
    assert projector.global_img_feature_extensor.grad is not None
    assert projector.sub_img_feature_extensor.grad.flatten().tolist() == [8.0] * 3
    assert projector.global_img_feature_extensor.grad.flatten().tolist() == [2.0] * 3


def test_the_released_size_counts_as_published() -> None:
    with torch.device("meta"):
        projector = VisionProjector(VisionShape(), output_dim=3072)
    sizes = {name: parameter.numel() for name, parameter in projector.named_parameters()}
    separators = sizes["sub_img_feature_extensor"] + sizes["global_img_feature_extensor"]
    assert separators == 2_304
    assert sum(sizes.values()) - separators == 12_982_272


def test_patches_that_cannot_merge_two_by_two_are_refused() -> None:
    with pytest.raises(ValueError, match=r"even multiple of patch_size · found 12 and 4 · choose"):
        VisionProjector(VisionShape(crop_size=12, patch_size=4), output_dim=8)


def test_init_fills_every_parameter_from_its_generator_alone() -> None:
    global_state = torch.random.get_rng_state()
    states = []
    for seed in (3, 3, 4):
        with torch.device("meta"):
            projector = VisionProjector(SHAPE, output_dim=5)
        generator = torch.Generator().manual_seed(seed)
        init_vision_projector(projector, generator)  # a no-op on meta
        assert torch.equal(generator.get_state(), torch.Generator().manual_seed(seed).get_state())
        projector.to_empty(device="cpu")
        for parameter in projector.parameters():
            parameter.detach().fill_(torch.nan)
        init_vision_projector(projector, generator)
        states.append(projector.state_dict())
    assert torch.equal(torch.random.get_rng_state(), global_state)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["img_projection_up.weight"], states[2]["img_projection_up.weight"])
    for name in ("sub_img_feature_extensor", "global_img_feature_extensor", "img_projection_up.bias"):
        assert not states[0][name].any()
