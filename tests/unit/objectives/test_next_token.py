import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from phi4train.batch import IGNORE_INDEX
from phi4train.objectives import next_token
from phi4train.objectives.next_token import linear_cross_entropy


def _inputs(num_rows: int = 23, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    hidden_ND = torch.randn(num_rows, 12, generator=generator).to(dtype).requires_grad_()
    weight_VD = torch.randn(37, 12, generator=generator).to(dtype).requires_grad_()
    labels_N = torch.randint(37, (num_rows,), generator=generator)
    labels_N[torch.rand(num_rows, generator=generator) < 0.5] = IGNORE_INDEX
    return hidden_ND, weight_VD, labels_N


def _expected(hidden_ND: Tensor, weight_VD: Tensor, labels_N: Tensor) -> Tensor:
    return F.cross_entropy(
        (hidden_ND @ weight_VD.T).float(), labels_N, ignore_index=IGNORE_INDEX, reduction="sum"
    )


@pytest.mark.parametrize("chunk_tokens", [1, 4, 1000, None])
def test_loss_and_gradients_equal_cross_entropy_for_every_chunk_size(chunk_tokens: int | None) -> None:
    hidden, weight, labels = _inputs()
    loss_sum, losses = linear_cross_entropy(hidden, weight, labels, chunk_tokens)
    expected = _expected(hidden, weight, labels)
    torch.testing.assert_close(loss_sum, expected)
    torch.testing.assert_close(losses.sum(), expected.detach())
    ours = torch.autograd.grad(0.3 * loss_sum, [hidden, weight])
    theirs = torch.autograd.grad(0.3 * expected, [hidden, weight])
    for our, their in zip(ours, theirs, strict=True):
        torch.testing.assert_close(our, their, atol=1e-5, rtol=1e-5)


def test_in_double_precision_gradients_equal_numerical_ones() -> None:
    hidden, weight, labels = _inputs(5, torch.float64)
    loss, _ = linear_cross_entropy(hidden, weight, labels, 2)
    step = 1e-6
    for tensor, gradient in zip((hidden, weight), torch.autograd.grad(loss, [hidden, weight]), strict=True):
        for index in [(0, 0), (2, 5), (4, 11)]:
            shift = torch.zeros_like(tensor)
            shift[index] = step
            moved = [
                linear_cross_entropy(
                    *((t + sign * shift if t is tensor else t) for t in (hidden, weight)), labels
                )[0]
                for sign in (1, -1)
            ]
            torch.testing.assert_close(gradient[index], (moved[0] - moved[1]).detach() / (2 * step))


def test_losses_of_targets_come_in_order_and_detached() -> None:
    hidden, weight, labels = _inputs()
    _, losses = linear_cross_entropy(hidden, weight, labels, 3)
    rows = labels != IGNORE_INDEX
    expected = F.cross_entropy(hidden[rows] @ weight.T, labels[rows], reduction="none")
    torch.testing.assert_close(losses, expected.detach())
    assert not losses.requires_grad


def test_large_logits_neither_overflow_nor_lose_the_loss() -> None:
    hidden = torch.full((1, 2), 1e3, requires_grad=True)
    weight = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    loss, _ = linear_cross_entropy(hidden, weight, torch.tensor([1]))
    torch.testing.assert_close(loss, torch.tensor(4000.0))


def test_without_targets_loss_and_gradients_are_zero() -> None:
    hidden, weight, labels = _inputs()
    loss, losses = linear_cross_entropy(hidden, weight, torch.full_like(labels, IGNORE_INDEX))
    loss.backward()
    assert (loss.item(), len(losses)) == (0.0, 0)
    for tensor in (hidden, weight):
        assert tensor.grad is not None
        assert not tensor.grad.any()


def test_rows_without_a_label_get_no_gradient_and_change_nothing() -> None:
    hidden, weight, labels = _inputs()
    loss, _ = linear_cross_entropy(hidden, weight, labels)
    (gradient,) = torch.autograd.grad(loss, [hidden])
    ignored = labels == IGNORE_INDEX
    assert not gradient[ignored].any()
    with torch.no_grad():
        hidden[ignored] = torch.nan
    again, _ = linear_cross_entropy(hidden, weight, labels)
    assert torch.equal(loss, again)


@pytest.mark.parametrize("wants", [(True, False), (False, True), (False, False)])
def test_only_wanted_gradients_are_computed(
    wants: tuple[bool, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, bool]] = []
    compute = next_token._loss_and_gradients

    def spy(*arguments: object) -> tuple[Tensor, Tensor | None, Tensor | None]:
        losses, grad_hidden, grad_weight = compute(*arguments)  # type: ignore[arg-type]
        seen.append((grad_hidden is not None, grad_weight is not None))
        return losses, grad_hidden, grad_weight

    monkeypatch.setattr(next_token, "_loss_and_gradients", spy)
    hidden, weight, labels = _inputs()
    hidden.requires_grad_(wants[0])
    weight.requires_grad_(wants[1])
    loss, _ = linear_cross_entropy(hidden, weight, labels)
    expected = _expected(hidden, weight, labels)
    torch.testing.assert_close(loss, expected)
    assert seen == [wants]
    assert loss.requires_grad == any(wants)
    wanted = [tensor for tensor, want in zip((hidden, weight), wants, strict=True) if want]
    if wanted:
        ours, theirs = torch.autograd.grad(loss, wanted), torch.autograd.grad(expected, wanted)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_under_no_grad_no_gradient_is_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    hidden, weight, labels = _inputs()
    products = []
    monkeypatch.setattr(next_token, "_add_product", lambda *arguments: products.append(arguments))
    with torch.no_grad():
        loss, _ = linear_cross_entropy(hidden, weight, labels)
    torch.testing.assert_close(loss, _expected(hidden, weight, labels).detach())
    assert not products
    linear_cross_entropy(hidden, weight, labels)
    assert products


def test_a_second_backward_is_refused_rather_than_wrong() -> None:
    loss, _ = linear_cross_entropy(*_inputs())
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="consumed by the first backward"):
        loss.backward()


def test_the_loss_is_float32_in_bfloat16_and_close_to_the_exact_one() -> None:
    hidden, weight, labels = _inputs(200)
    exact = _expected(hidden, weight, labels)
    half = [tensor.detach().to(torch.bfloat16).requires_grad_() for tensor in (hidden, weight)]
    loss, losses = linear_cross_entropy(half[0], half[1], labels, 7)
    assert (loss.dtype, losses.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(loss, exact, rtol=0.01, atol=0)
    ours, theirs = torch.autograd.grad(loss, half), torch.autograd.grad(exact, [hidden, weight])
    for our, their in zip(ours, theirs, strict=True):
        assert our.dtype == torch.bfloat16
        torch.testing.assert_close(our.float(), their, atol=0.05, rtol=0.05)


def test_under_autocast_products_are_bfloat16_and_gradients_float32() -> None:
    hidden, weight, labels = _inputs(200)
    with torch.autocast("cpu", torch.bfloat16):
        loss, _ = linear_cross_entropy(hidden, weight, labels)
    exact = _expected(hidden, weight, labels)
    assert not torch.equal(loss, exact)
    torch.testing.assert_close(loss, exact, rtol=0.01, atol=0)
    for gradient in torch.autograd.grad(loss, [hidden, weight]):
        assert gradient.dtype == torch.float32
