from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from phi4train.batch import IGNORE_INDEX, Batch
from phi4train.errors import NonFiniteError
from phi4train.training.losses.loss import LossSums, label_samples, loss_per_task
from phi4train.training.module import StageModule
from tests.unit.training.tiny_training import sample_of, step, text_batch, trainable_of

MakeModule = Callable[..., StageModule]
LENGTHS = (9, 4, 12, 7)


def trained(module: StageModule, *batches: Batch) -> dict[str, torch.Tensor]:
    module.training_step(step(*batches), 0)
    return {name: p.detach().clone() for name, p in trainable_of(module).items()}


def test_one_micro_batch_of_four_equals_four_accumulated_of_one(make_module: MakeModule) -> None:
    batch = text_batch(LENGTHS)
    together, apart = make_module(), make_module()
    weights = trained(together, batch)
    other = trained(apart, *(sample_of(batch, i) for i in range(4)))
    assert together.result is not None and apart.result is not None
    assert apart.result.loss == pytest.approx(together.result.loss, abs=1e-5)
    assert apart.result.grad_norm == pytest.approx(together.result.grad_norm, rel=1e-5)
    for name, weight in weights.items():
        # Adam divides by the gradient's size, so that rounding in tiny gradients shows: compare to the lr.
        assert torch.allclose(other[name], weight, atol=5e-5), name


def test_the_loss_is_a_mean_over_targets_not_over_micro_batches(make_module: MakeModule) -> None:
    long, short = text_batch((20,), seed=1), text_batch((4,), seed=2)
    module = make_module()
    module.training_step(step(long, short), 0)
    result = module.result
    assert result is not None
    by_task = [loss for loss, _ in result.task_losses.values()]
    assert result.loss == pytest.approx(sum(by_task) / result.num_targets, rel=1e-6)
    assert result.num_targets == long.num_targets + short.num_targets


def test_losses_by_task_add_up_to_the_whole() -> None:
    batch = text_batch(LENGTHS)
    losses = torch.rand(batch.num_targets)
    by_task = loss_per_task(batch, LossSums(losses.sum(), losses, label_samples(batch)))
    assert set(by_task) == {"text0", "text1"}
    assert sum(loss for loss, _ in by_task.values()) == pytest.approx(losses.sum().item(), rel=1e-6)
    first_sample = (batch.labels_T[: LENGTHS[0]] != IGNORE_INDEX).sum().item()
    third = (batch.labels_T[sum(LENGTHS[:2]) : sum(LENGTHS[:3])] != IGNORE_INDEX).sum().item()
    assert by_task["text0"][1] == first_sample + third


def test_clipping_bounds_the_gradient(make_module: MakeModule) -> None:
    clipped, free = make_module(clip=1e-3), make_module(clip=0)
    for module in (clipped, free):
        module.training_step(step(text_batch(LENGTHS)), 0)
    norm = torch.stack([p.grad.norm() for p in trainable_of(clipped).values() if p.grad is not None]).norm()
    assert norm.item() == pytest.approx(1e-3, rel=1e-4)
    assert clipped.result is not None and free.result is not None
    assert clipped.result.grad_norm == pytest.approx(free.result.grad_norm)


def test_a_non_finite_step_changes_nothing_and_too_many_stop_the_run(make_module: MakeModule) -> None:
    module = make_module(max_bad_steps=2)
    before = {name: p.detach().clone() for name, p in trainable_of(module).items()}
    with torch.no_grad():
        module.model.language_model.embed_tokens.weight[5] = float("nan")
    before["language_model/embed_tokens.weight"][5] = float("nan")
    bad = replace(text_batch((8,)), input_ids_T=torch.full((8,), 5))
    module.training_step(step(bad), 0)
    assert module.result is not None and module.result.is_skipped
    assert all(
        torch.equal(before[n], p) or n.endswith("embed_tokens.weight")
        for n, p in trainable_of(module).items()
    )
    assert not module.gradients.optimizer.state
    with pytest.raises(NonFiniteError, match=r"max_bad_steps=2 steps in a row.*shard/0.*lower optimizer.lr"):
        module.training_step(step(bad, number=1), 0)


def test_a_good_step_resets_the_count_of_bad_ones(make_module: MakeModule) -> None:
    module = make_module(max_bad_steps=2)
    module.num_bad_in_a_row = 1
    module.training_step(step(text_batch(LENGTHS)), 0)
    assert module.num_bad_in_a_row == 0


def test_a_step_without_targets_is_skipped_without_error(make_module: MakeModule) -> None:
    module = make_module()
    module.training_step(step(), 0)
    assert module.result is not None and module.result.is_skipped and module.next_step == 1


def test_every_group_gets_the_schedules_rate_times_its_factor(make_module: MakeModule) -> None:
    module = make_module()
    module.gradients.optimizer.param_groups[0]["lr_multiplier"] = 0.5
    module.training_step(step(text_batch(LENGTHS)), 0)
    assert module.gradients.optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * module.schedule.lr(0))
    assert module.gradients.optimizer.param_groups[1]["lr"] == pytest.approx(module.schedule.lr(0))
