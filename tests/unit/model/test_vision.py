"""The vision tower: images of a batch do not influence each other, and only what learns is recorded."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from phi4train.batch import ImageInputs
from phi4train.model.shapes import VisionShape
from phi4train.model.vision import (
    VisionEncoder,
    VisionProjector,
    VisionTower,
    init_vision_encoder,
    init_vision_projector,
)

SHAPE = VisionShape(hidden_dim=16, intermediate_dim=32, num_layers=3, num_heads=2, crop_size=16, patch_size=4)
G, M = 4, 2


def build() -> VisionTower:
    encoder, projector = VisionEncoder(SHAPE), VisionProjector(SHAPE, output_dim=12)
    generator = torch.Generator().manual_seed(0)
    init_vision_encoder(encoder, generator)
    init_vision_projector(projector, generator)
    with torch.no_grad():
        projector.sub_img_feature_extensor.normal_(generator=generator)
        projector.global_img_feature_extensor.normal_(generator=generator)
    return VisionTower(encoder, projector)


def image(grid: tuple[int, int], valid: tuple[int, int], seed: int) -> ImageInputs:
    """One image of `grid` crops whose stitched mask has `valid` (rows, columns) of patches."""
    rows, columns = grid
    stitched = torch.zeros(rows * G, columns * G, dtype=torch.bool)
    stitched[: valid[0], : valid[1]] = True
    sub_mask = stitched.view(rows, G, columns, G).transpose(1, 2).reshape(-1, G, G)
    crops = torch.randn(1 + rows * columns, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    height, width = -(-valid[0] // 2), -(-valid[1] // 2)
    num_tokens = height * (width + 1) + 1 + M * (M + 1)
    mask = torch.cat([torch.ones(1, G, G, dtype=torch.bool), sub_mask])
    return ImageInputs(crops, mask, (grid,), torch.arange(num_tokens))


def together(images: list[ImageInputs]) -> ImageInputs:
    return ImageInputs(
        crops_C3SS=torch.cat([i.crops_C3SS for i in images]),
        patch_mask_CGG=torch.cat([i.patch_mask_CGG for i in images]),
        grids=tuple(grid for i in images for grid in i.grids),
        positions=torch.arange(sum(len(i.positions) for i in images)),
    )


IMAGES = [
    image((1, 1), (4, 4), seed=1),
    image((1, 1), (3, 4), seed=2),
    image((2, 3), (8, 11), seed=3),
    image((3, 1), (9, 4), seed=4),
]


def test_images_of_a_batch_equal_each_alone() -> None:
    tower = build()
    alone = torch.cat([tower(one) for one in IMAGES])
    torch.testing.assert_close(tower(together(IMAGES)), alone, rtol=0, atol=1e-5)


def test_a_frozen_encoder_records_no_graph_while_the_projector_learns() -> None:
    tower = build()
    tower.encoder.requires_grad_(False)
    recorded: list[bool] = []

    def note(module: torch.nn.Module, args: object, output: Tensor) -> None:
        recorded.append(torch.is_grad_enabled() or output.grad_fn is not None)

    tower.encoder.register_forward_hook(note)
    tower(IMAGES[0]).sum().backward()
    assert recorded == [False]
    assert all(parameter.grad is not None for parameter in tower.projector.parameters())


def test_one_trainable_parameter_is_enough_to_record_the_encoder() -> None:
    tower = build()
    tower.requires_grad_(False)
    tower.encoder.embeddings.patch_embedding.bias.requires_grad_()
    tower(IMAGES[2]).square().mean().backward()
    assert tower.encoder.embeddings.patch_embedding.bias.grad is not None


def test_every_parameter_that_exists_for_training_gets_a_gradient() -> None:
    tower = build()
    tower(together(IMAGES)).square().mean().backward()
    assert [name for name, parameter in tower.named_parameters() if parameter.grad is None] == []


def test_tokens_that_do_not_fill_their_slots_are_refused() -> None:
    wrong = replace(IMAGES[0], positions=torch.arange(5))
    with pytest.raises(ValueError, match=r"one slot per image token · found 5 slots for 13 tokens · use"):
        build()(wrong)
