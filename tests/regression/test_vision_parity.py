"""Crops, masks, token counts, features and projected tokens equal those of transformers' Phi4Multimodal."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import Phi4MultimodalConfig
from transformers.models.phi4_multimodal import image_processing_phi4_multimodal
from transformers.models.phi4_multimodal.image_processing_phi4_multimodal import Phi4MultimodalImageProcessor
from transformers.models.phi4_multimodal.modeling_phi4_multimodal import Phi4MultimodalImageEmbedding

from phi4train.batch import ImageInputs
from phi4train.data.media.images import ImageGeometry
from phi4train.errors import SampleError
from phi4train.model.shapes import VisionShape
from phi4train.model.vision import VisionEncoder, VisionProjector, VisionTower

IMAGE_TOKEN_ID = 3
OUTPUT_DIM = 48
SHAPE = VisionShape(hidden_dim=32, intermediate_dim=64, num_layers=4, num_heads=4, crop_size=56, patch_size=7)
SIZES = [(56, 56), (30, 56), (100, 40), (13, 90), (200, 150), (57, 57), (300, 31)]


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width * 10_000 + height).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )
    return Image.fromarray(pixels)


def random_sizes(count: int, longest: int) -> list[tuple[int, int]]:
    rng = random.Random(0)
    return [(rng.randint(1, longest), rng.randint(1, longest)) for _ in range(count)]


@pytest.mark.parametrize("max_crops", [16, 36])
def test_grids_and_token_counts_equal_the_reference_at_the_released_size(
    max_crops: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_pixels = SimpleNamespace(resize=lambda image, size: image, pad=lambda image, *args, **options: image)
    monkeypatch.setattr(image_processing_phi4_multimodal, "tvF", no_pixels)
    processor, geometry = Phi4MultimodalImageProcessor(), ImageGeometry(448, 14, max_crops)
    ties = [(71 * 240, 2 * 240), (1120, 448 * 20), (4480, 4480), (1500 * 3, 1500 * 2)]
    for width, height in [*random_sizes(300, longest=4500), *ties]:
        image = torch.empty(1).expand(3, height, width)
        try:
            _, mask = processor.dynamic_preprocess(image, 448, 14, 32, max_num=max_crops)
        except ValueError:
            with pytest.raises(SampleError, match="sides of at least 10 px"):
                geometry.num_image_tokens(width, height)
            continue
        assert geometry.crop_grid(width, height) == (mask.shape[0] // 32, mask.shape[1] // 32)
        merged = mask[::2, ::2]
        tokens = 256 + 1 + int(merged.sum()) + int(merged[:, 0].sum()) + 16
        assert geometry.num_image_tokens(width, height) == tokens, (width, height)


@pytest.mark.parametrize("max_crops", [16, 36])
def test_pixels_masks_and_token_counts_equal_the_reference_at_a_small_size(max_crops: int) -> None:
    size, patches_per_side = {"height": 56, "width": 56}, 4
    processor = Phi4MultimodalImageProcessor(size=size, patch_size=14, dynamic_hd=max_crops)
    geometry = ImageGeometry(crop_size=56, patch_size=14, max_crops=max_crops)
    for width, height in random_sizes(300, longest=500):
        try:
            reference = processor(noise(width, height), return_tensors="pt")
        except ValueError:
            with pytest.raises(SampleError, match="sides of at least 10 px"):
                geometry.preprocess(noise(width, height))
            continue
        crops, mask, (rows, columns) = geometry.preprocess(noise(width, height))
        assert reference["image_sizes"][0].tolist() == [56 * rows, 56 * columns]
        assert torch.equal(reference["image_attention_mask"][0].bool(), mask)
        torch.testing.assert_close(crops, reference["image_pixel_values"][0], rtol=0, atol=1e-4)
        merged_side = patches_per_side // 2
        of_global_view = merged_side * (merged_side + 1) - (256 + 16)  # the reference counts 448-pixel views
        tokens = int(reference["num_img_tokens"][0]) + of_global_view
        assert geometry.num_image_tokens(width, height) == tokens


@pytest.mark.parametrize("size", [(448, 448), (300, 200), (449, 449), (1000, 700)])
def test_a_processed_image_equals_the_reference_at_the_released_size(size: tuple[int, int]) -> None:
    reference = Phi4MultimodalImageProcessor()(noise(*size), return_tensors="pt")
    geometry = ImageGeometry(448, 14, max_crops=36)
    crops, mask, _ = geometry.preprocess(noise(*size))
    torch.testing.assert_close(crops, reference["image_pixel_values"][0], rtol=0, atol=1e-4)
    assert torch.equal(reference["image_attention_mask"][0].bool(), mask)
    assert geometry.num_image_tokens(*size) == int(reference["num_img_tokens"][0])


@pytest.fixture(scope="module")
def reference() -> Phi4MultimodalImageEmbedding:
    """The reference's vision part with random weights; eager, because its SDPA attention is causal."""
    config = Phi4MultimodalConfig(
        vision_config={
            "hidden_size": SHAPE.hidden_dim,
            "intermediate_size": SHAPE.intermediate_dim,
            "num_hidden_layers": SHAPE.num_layers,
            "num_attention_heads": SHAPE.num_heads,
            "image_size": SHAPE.crop_size,
            "crop_size": SHAPE.crop_size,
            "patch_size": SHAPE.patch_size,
            "image_token_id": IMAGE_TOKEN_ID,
        },
        hidden_size=OUTPUT_DIM,
        num_attention_heads=4,
        num_key_value_heads=2,
        attn_implementation="eager",
    )
    embedding = Phi4MultimodalImageEmbedding(config).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in embedding.parameters():
            parameter.normal_(0.0, 0.1, generator=generator)
    return embedding


@pytest.fixture(scope="module")
def tower(reference: Phi4MultimodalImageEmbedding) -> VisionTower:
    """Ours with the reference's weights, loaded strictly under the reference's names."""
    encoder, projector = VisionEncoder(SHAPE, with_unused_parts=True), VisionProjector(SHAPE, OUTPUT_DIM)
    prefix = "img_processor."
    state = reference.state_dict()
    encoder.load_state_dict({name[len(prefix) :]: state[name] for name in state if name.startswith(prefix)})
    projector.load_state_dict({name: state[name] for name in state if not name.startswith(prefix)})
    return VisionTower(encoder, projector)


def images_of(sizes: list[tuple[int, int]]) -> ImageInputs:
    geometry = ImageGeometry(SHAPE.crop_size, SHAPE.patch_size, max_crops=6)
    processed = [geometry.preprocess(noise(*size)) for size in sizes]
    return ImageInputs(
        crops_C3SS=torch.cat([image.crops for image in processed]),
        patch_mask_CGG=torch.cat([image.patch_mask for image in processed]),
        grids=tuple(image.grid for image in processed),
        positions=torch.arange(sum(geometry.num_image_tokens(*size) for size in sizes)),
    )


def reference_tokens(reference: Phi4MultimodalImageEmbedding, image: ImageInputs) -> torch.Tensor:
    num_tokens, ((rows, columns),) = len(image.positions), image.grids
    embedded: torch.Tensor = reference(
        torch.full((1, num_tokens), IMAGE_TOKEN_ID),
        torch.zeros(1, num_tokens, OUTPUT_DIM),
        image.crops_C3SS[None],
        torch.tensor([[rows * SHAPE.crop_size, columns * SHAPE.crop_size]]),
        image.patch_mask_CGG[None].float(),
    )
    return embedded[0]


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_features_and_tokens_of_an_image_equal_the_reference(
    size: tuple[int, int], reference: Phi4MultimodalImageEmbedding, tower: VisionTower
) -> None:
    image = images_of([size])
    output = reference.img_processor(image.crops_C3SS, image.patch_mask_CGG, output_hidden_states=True)
    features = tower.encoder(image.crops_C3SS, image.patch_mask_CGG)
    torch.testing.assert_close(features, output.hidden_states[-2], rtol=0, atol=2e-6)
    torch.testing.assert_close(tower(image), reference_tokens(reference, image), rtol=0, atol=2e-6)


@torch.no_grad()
def test_tokens_of_a_batch_equal_the_reference_run_on_each_image_alone(
    reference: Phi4MultimodalImageEmbedding, tower: VisionTower
) -> None:
    alone = [reference_tokens(reference, images_of([size])) for size in SIZES]
    torch.testing.assert_close(tower(images_of(SIZES)), torch.cat(alone), rtol=0, atol=2e-6)
