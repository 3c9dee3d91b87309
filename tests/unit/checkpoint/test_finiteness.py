import pytest
import torch

from phi4train.checkpoint.finiteness import find_non_finite


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_one_bad_number_is_found_and_its_tensor_named(number: float, dtype: torch.dtype) -> None:
    tensors = {name: torch.ones(2, 3, dtype=dtype) for name in ("b", "a", "c")}
    assert find_non_finite(tensors) is None
    tensors["b"][1, 2] = number
    assert find_non_finite(tensors) == "1 of 6 numbers of b NaN or infinite"
    tensors["c"][0] = number
    assert find_non_finite(tensors) == (
        "1 of 6 numbers of b NaN or infinite, and 1 more tensors with such numbers"
    )


def test_large_numbers_whose_sum_overflows_are_finite() -> None:
    assert find_non_finite({"a": torch.full((4,), 3e38), "empty": torch.ones(0)}) is None


def test_whole_numbers_are_finite_and_nothing_is_too() -> None:
    assert find_non_finite({"random": torch.arange(4, dtype=torch.uint8)}) is None
    assert find_non_finite({}) is None
