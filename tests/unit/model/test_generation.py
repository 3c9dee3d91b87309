from collections.abc import Callable, Collection
from dataclasses import replace

import pytest
import torch

from phi4train.batch import Batch
from phi4train.model import generation
from phi4train.model.generation import choose_tokens, generate
from phi4train.model.phi4 import Phi4Model

Make = Callable[..., Batch]
MakeModel = Callable[..., Phi4Model]
Split = Callable[[Batch], list[Batch]]


@torch.no_grad()
def _naive(model: Phi4Model, prompt: Batch, max_new_tokens: int, stop_ids: Collection[int]) -> list[int]:
    """Greedy decoding of one sample that recomputes everything for each token."""
    new_ids: list[int] = []
    for _ in range(max_new_tokens):
        ids = torch.cat([prompt.input_ids_T, torch.tensor(new_ids, dtype=torch.int64)])
        grown = replace(
            prompt,
            input_ids_T=ids,
            position_ids_T=torch.arange(len(ids)),
            labels_T=torch.full_like(ids, -100),
            sample_lengths=(len(ids),),
        )
        token = int((model(grown)[-1] @ model.head_weight.T).argmax())
        if token in stop_ids:
            break
        new_ids.append(token)
    return new_ids


@pytest.mark.parametrize("routing_rule", ["sample", "token"])
def test_greedy_equals_recomputing_everything_for_mixed_samples_of_different_length(
    make_model: MakeModel, make_batch: Make, split_batch: Split, routing_rule: str
) -> None:
    every = ("vision_encoder", "vision_projector", "lora.vision", "lora.speech")
    model = make_model(*every, routing_rule=routing_rule)
    batch = make_batch((15, 3, 9, 16), ("vision", "text", "speech", "vision_speech"), images=(0, 3))
    expected = [_naive(model, sample, 12, ()) for sample in split_batch(batch)]
    assert generate(model, batch, 12, stop_ids=()) == expected


def test_generation_across_the_longrope_switch_equals_recomputing_everything(
    make_model: MakeModel, make_batch: Make, split_batch: Split
) -> None:
    model = make_model("lora.vision")
    batch = make_batch(
        (20, 22, 24, 26), ("vision", "text", "text", "vision")
    )  # the switch is after 24 tokens
    expected = [_naive(model, sample, 10, ()) for sample in split_batch(batch)]
    assert generate(model, batch, 10, stop_ids=()) == expected


def test_the_switch_test_would_notice_a_stale_cache(
    make_model: MakeModel, make_batch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make_model()
    batch = make_batch((20, 22, 24, 26))
    right = generate(model, batch, 10, stop_ids=())
    monkeypatch.setattr(generation, "uses_long_factor", lambda rope, length: False)
    assert generate(model, batch, 10, stop_ids=()) != right


def test_each_sample_stops_at_its_own_stop_id_which_is_left_out(
    make_model: MakeModel, make_batch: Make, split_batch: Split
) -> None:
    model = make_model()
    batch = make_batch((4, 7, 5), seed=3)
    endless = generate(model, batch, 8, stop_ids=())
    stop_ids = {endless[0][2], endless[1][5]}
    expected = [_naive(model, sample, 8, stop_ids) for sample in split_batch(batch)]
    stopped = generate(model, batch, 8, stop_ids)
    assert stopped == expected
    assert len({len(ids) for ids in stopped}) > 1


def test_generated_tokens_use_the_adapter_of_their_sample(make_model: MakeModel, make_batch: Make) -> None:
    model = make_model("lora.vision")
    as_text, as_vision = make_batch((6,)), make_batch((6,), ("vision",))
    assert generate(model, as_text, 8, ()) != generate(model, as_vision, 8, ())


def test_sampling_repeats_with_its_generator_and_differs_without(
    make_model: MakeModel, make_batch: Make
) -> None:
    model, batch = make_model(), make_batch((5, 3))

    def sample(seed: int) -> list[list[int]]:
        return generate(model, batch, 12, (), 1.0, 0.9, generator=torch.Generator().manual_seed(seed))

    assert sample(0) == sample(0)
    assert sample(0) != sample(1)


def test_top_p_never_leaves_the_nucleus_and_temperature_zero_is_greedy() -> None:
    logits = torch.tensor([[0.4, 0.3, 0.2, 0.1]]).log().repeat(400, 1)
    drawn = choose_tokens(logits, 1.0, 0.65, torch.Generator().manual_seed(0))
    assert set(drawn.tolist()) == {0, 1}
    assert set(choose_tokens(logits, 1.0, 1.0, torch.Generator().manual_seed(0)).tolist()) == {0, 1, 2, 3}
    assert set(choose_tokens(logits, 0.0, 1.0, None).tolist()) == {0}


def test_sampling_follows_the_distribution_at_its_temperature() -> None:
    logits = torch.tensor([[1.0, 0.0]]).repeat(20_000, 1)
    drawn = choose_tokens(logits, 0.5, 1.0, torch.Generator().manual_seed(0))
    assert (drawn == 0).float().mean().item() == pytest.approx(torch.tensor(2.0).sigmoid().item(), abs=0.01)


@pytest.mark.parametrize(
    "wrong", [{"max_new_tokens": 0}, {"temperature": -1.0}, {"top_p": 0.0}, {"top_p": 1.1}]
)
def test_an_argument_out_of_range_is_refused(
    make_model: MakeModel, make_batch: Make, wrong: dict[str, float]
) -> None:
    arguments = {"max_new_tokens": 1, "stop_ids": (), **wrong}
    with pytest.raises(ValueError, match=r"0 < top_p <= 1 · found .* · change"):
        generate(make_model(), make_batch((2,)), **arguments)


def test_generation_runs_under_autocast_and_in_bfloat16(make_model: MakeModel, make_batch: Make) -> None:
    model, batch = make_model("lora.vision"), make_batch((5, 3), ("vision", "text"))
    with torch.autocast("cpu", torch.bfloat16):
        mixed = generate(model, batch, 3, ())
    pure = generate(model.to(torch.bfloat16), batch, 3, ())
    assert [len(ids) for ids in mixed + pure] == [3, 3, 3, 3]


def test_a_boundary_is_before_each_token_and_may_end_the_generation(
    make_model: MakeModel, make_batch: Make
) -> None:
    model, batch = make_model(), make_batch((9, 4), ("text", "text"))
    seen: list[int] = []

    def at_boundary() -> None:
        seen.append(len(seen))
        if len(seen) == 9:
            raise KeyError("enough")

    expected = generate(model, batch, 5, stop_ids=())
    assert generate(model, batch, 5, stop_ids=(), at_boundary=at_boundary) == expected
    assert len(seen) == 5
    with pytest.raises(KeyError, match="enough"):
        generate(model, batch, 5, stop_ids=(), at_boundary=at_boundary)
    assert len(seen) == 9
