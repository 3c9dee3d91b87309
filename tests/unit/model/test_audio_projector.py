"""The audio projectors: size and initial values."""

import torch

from phi4train.model.audio_projector import AudioProjector, init_audio_projector
from phi4train.model.shapes import AudioShape

SHAPE = AudioShape(hidden_dim=6)


def test_the_released_size_counts_as_published() -> None:
    with torch.device("meta"):
        projector = AudioProjector(AudioShape(), output_dim=3072)
    assert sum(parameter.numel() for parameter in projector.parameters()) == 12_589_056


def test_init_fills_every_parameter_from_its_generator_alone() -> None:
    global_state = torch.random.get_rng_state()
    states = []
    for seed in (3, 3, 4):
        with torch.device("meta"):
            projector = AudioProjector(SHAPE, output_dim=5)
        generator = torch.Generator().manual_seed(seed)
        init_audio_projector(projector, generator)  # a no-op on meta
        assert torch.equal(generator.get_state(), torch.Generator().manual_seed(seed).get_state())
        projector.to_empty(device="cpu")
        for parameter in projector.parameters():
            parameter.detach().fill_(torch.nan)
        init_audio_projector(projector, generator)
        states.append(projector.state_dict())
    assert torch.equal(torch.random.get_rng_state(), global_state)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["up_proj.weight"], states[2]["up_proj.weight"])
    assert not states[0]["up_proj.bias"].any()
    assert not states[0]["down_proj.bias"].any()


def test_tokens_are_projected_one_by_one() -> None:
    projector = AudioProjector(SHAPE, output_dim=5)
    init_audio_projector(projector, torch.Generator().manual_seed(0))
    tokens = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    alone = torch.cat([projector(token[None]) for token in tokens])
    torch.testing.assert_close(projector(tokens), alone, rtol=0, atol=1e-6)
