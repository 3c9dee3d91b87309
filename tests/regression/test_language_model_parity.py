"""The language model against transformers' Phi3ForCausalLM, on both sides of LongRoPE's switch."""

import pytest
import torch
from torch import Tensor
from transformers import Phi3Config, Phi3ForCausalLM

from phi4train.batch import Batch
from phi4train.model.components import build_model, load_state
from phi4train.model.phi4 import Phi4Model
from phi4train.model.shapes import LanguageModelShape, ModelShape, RopeShape

VOCAB = 96
ORIGINAL_CONTEXT = 4096


def _shape() -> ModelShape:
    rope = RopeShape(
        original_context_tokens=ORIGINAL_CONTEXT,
        max_context_tokens=131072,
        short_factor=[1.0 + 0.1 * i for i in range(6)],
        long_factor=[1.5 + i for i in range(6)],
    )
    return ModelShape(LanguageModelShape(VOCAB, 64, 96, 2, 4, 2, rope=rope))


def _reference() -> Phi3ForCausalLM:
    shape = _shape().language_model
    config = Phi3Config(
        vocab_size=VOCAB,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=131072,
        original_max_position_embeddings=ORIGINAL_CONTEXT,
        rope_parameters={
            "rope_type": "longrope",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.75,
            "original_max_position_embeddings": ORIGINAL_CONTEXT,
            "short_factor": shape.rope.short_factor,
            "long_factor": shape.rope.long_factor,
        },
        tie_word_embeddings=True,
        initializer_range=0.2,
        pad_token_id=0,
        attn_implementation="eager",
    )
    torch.manual_seed(0)
    return Phi3ForCausalLM(config).eval()


@pytest.fixture(scope="module")
def reference() -> Phi3ForCausalLM:
    return _reference()


@pytest.fixture(scope="module")
def model(reference: Phi3ForCausalLM) -> Phi4Model:
    model = build_model(_shape(), ["language_model"], seed=0)
    load_state(model, "language_model", reference.model.state_dict())
    return model


def _batch(ids: Tensor, lengths: tuple[int, ...]) -> Batch:
    positions = torch.cat([torch.arange(length) for length in lengths])
    names = ("t",) * len(lengths)
    return Batch(ids, positions, torch.full_like(ids, -100), lengths, ("text",) * len(lengths), names, names)


def _logits(model: Phi4Model, ids: Tensor, lengths: tuple[int, ...]) -> Tensor:
    with torch.no_grad():
        return model(_batch(ids, lengths)) @ model.head_weight.T


@pytest.mark.parametrize("length", [1, 37, 4096, 4097])
def test_logits_equal_the_reference_up_to_and_beyond_the_longrope_switch(
    model: Phi4Model, reference: Phi3ForCausalLM, length: int
) -> None:
    ids = torch.randint(VOCAB, (length,), generator=torch.Generator().manual_seed(length))
    with torch.no_grad():
        expected = reference(ids[None]).logits[0]
    torch.testing.assert_close(_logits(model, ids, (length,)), expected, atol=1e-4, rtol=0)


def test_the_longrope_switch_lies_between_4096_and_4097(model: Phi4Model) -> None:
    ids = torch.randint(VOCAB, (4097,), generator=torch.Generator().manual_seed(0))
    short, long = _logits(model, ids[:4096], (4096,)), _logits(model, ids, (4097,))[:4096]
    assert (short - long).abs().max() > 1e-2


def test_a_short_sample_does_not_change_beside_one_beyond_the_switch(model: Phi4Model) -> None:
    ids = torch.randint(VOCAB, (4097 + 50,), generator=torch.Generator().manual_seed(1))
    packed = _logits(model, ids, (4097, 50))
    torch.testing.assert_close(packed[4097:], _logits(model, ids[4097:], (50,)), atol=1e-5, rtol=0)
    torch.testing.assert_close(packed[:4097], _logits(model, ids[:4097], (4097,)), atol=1e-5, rtol=0)


def test_gradients_equal_the_references(model: Phi4Model, reference: Phi3ForCausalLM) -> None:
    ids = torch.randint(VOCAB, (40,), generator=torch.Generator().manual_seed(2))
    reference(ids[None]).logits.logsumexp(-1).sum().backward()
    (model(_batch(ids, (40,))) @ model.head_weight.T).logsumexp(-1).sum().backward()
    for name, parameter in model.language_model.named_parameters():
        expected = reference.model.get_parameter(name).grad
        torch.testing.assert_close(
            parameter.grad, expected, atol=1e-4, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )
