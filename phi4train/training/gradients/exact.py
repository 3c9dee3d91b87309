"""Gradients whose bits do not depend on how many processes made them.

Each virtual rank's gradients are a leaf of one fixed binary tree of sums. A process sums the subtree of its
own virtual ranks, and the processes exchange subtrees once a step:

    virtual ranks   0   1   2   3
                     \\ /     \\ /        in the process that has both, or between the two that have one each
                      +       +
                        \\   /
                          +
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from phi4train.batch import Batch
from phi4train.checkpoint.slices import SliceReader, slices_of
from phi4train.data.order.dealing import VirtualRanks
from phi4train.ranks import Ranks
from phi4train.training.micro_batch import MicroBatchShare
from phi4train.training.optimizer import (
    AdamWSettings,
    build_adamw,
    load_moments,
    moments,
    num_updates,
    set_lr,
)

_all_gather = getattr(dist, "all_gather_single", None) or dist.all_gather_into_tensor  # renamed in torch 2.14
_BUCKET_ELEMENTS = 2**22
_CACHED_ELEMENTS = 2**18

Gradient = Tensor | None


class ExactGradients:
    """See Gradients. On one process with one virtual rank nothing is summed or copied.

    Args:
        micro_batch: model and losses.
        named: the trainable tensors as `<component>/<key>`.
        settings: of AdamW.
        ranks: the processes that share a step; a power of two.
        virtual: the virtual ranks, a power of two, and which are this process's.
    """

    def __init__(
        self,
        micro_batch: Callable[..., MicroBatchShare],
        named: Mapping[str, nn.Parameter],
        settings: AdamWSettings,
        ranks: Ranks,
        virtual: VirtualRanks | None = None,
    ) -> None:
        self.needs_lockstep = False
        self._micro_batch = micro_batch
        self._named = dict(named)
        self._parameters = list(named.values())
        self._ranks = ranks
        self.virtual = virtual or VirtualRanks()
        self._leaf = self.virtual.own.start
        self._sums: list[tuple[int, list[Gradient]]] = []
        """Sums of finished subtrees that wait for their right neighbour, with their height."""
        self._gradients: list[Tensor] = []
        """Of the whole step, once it is finished."""
        self.optimizer: torch.optim.Optimizer = build_adamw(named, settings)

    def share(self, batch: Batch, selections: Sequence[Any], counts: Sequence[int]) -> MicroBatchShare:
        """See Gradients."""
        return self._micro_batch(batch, selections, counts)

    def whole_model(self) -> AbstractContextManager[None]:
        """See Gradients."""
        return nullcontext()

    def zero(self) -> None:
        """See Gradients."""
        self.optimizer.zero_grad(set_to_none=True)
        self._sums.clear()
        self._gradients = []
        self._leaf = self.virtual.own.start

    def backward(self, loss: Tensor, virtual_rank: int) -> None:
        """See Gradients."""
        while self._leaf < virtual_rank:
            self._finish_leaf()
        torch.autograd.backward(loss)

    def finish(self) -> dict[str, float]:
        """See Gradients."""
        while self._leaf in self.virtual.own:
            self._finish_leaf()
        ((_, gradients),) = self._sums
        self._sums.clear()
        self._gradients = [
            torch.zeros_like(parameter) if gradient is None else gradient.contiguous()
            for parameter, gradient in zip(self._parameters, gradients, strict=True)
        ]
        if self._ranks.size > 1:
            for bucket in _buckets(self._gradients, self._ranks.size):
                bucket.sum_over(self._ranks.size)
        for parameter, gradient in zip(self._parameters, self._gradients, strict=True):
            parameter.grad = gradient
        return component_norms(self._named, self._gradients)

    def step(self, lr: float, scale: float) -> None:
        """See Gradients."""
        if scale != 1.0:
            torch._foreach_mul_(self._gradients, scale)
        set_lr(self.optimizer, lr)
        self.optimizer.step()

    def skip(self) -> None:
        """See Gradients."""
        self.zero()

    @property
    def num_updates(self) -> int:
        """See Gradients."""
        return num_updates(self.optimizer)

    def slices(self) -> dict[str, Tensor]:
        """See Gradients; a rank writes its part of what all have."""
        whole: dict[str, Tensor] = {f"model/{name}": parameter for name, parameter in self._named.items()}
        whole |= moments(self.optimizer, self._named)
        return slices_of(whole, self._ranks.rank, self._ranks.size)

    def load(self, tensors: SliceReader, num_updates: int) -> None:
        """See Gradients."""
        with torch.no_grad():
            for name, parameter in self._named.items():
                parameter.copy_(tensors.read(f"model/{name}", parameter.shape))
        load_moments(self.optimizer, self._named, tensors, num_updates)

    def _finish_leaf(self) -> None:
        """Adds the gradients of the current virtual rank to the tree; the next one starts from none."""
        gradients: list[Gradient] = [parameter.grad for parameter in self._parameters]
        for parameter in self._parameters:
            parameter.grad = None
        height = 0
        while self._sums and self._sums[-1][0] == height:
            _, left = self._sums.pop()
            gradients = _added(left, gradients)
            height += 1
        self._sums.append((height, gradients))
        self._leaf += 1


def component_norms(names: Iterable[str], gradients: Sequence[Tensor]) -> dict[str, float]:
    """L2 norm of the gradients of each component, from tensors named `<component>/<key>`."""
    sums = torch.stack([square_sum(gradient) for gradient in gradients]).tolist()
    squares: dict[str, float] = {}
    for name, square in zip(names, sums, strict=True):
        component = name.split("/", 1)[0]
        squares[component] = squares.get(component, 0.0) + square
    return {component: square**0.5 for component, square in squares.items()}


def square_sum(gradient: Tensor) -> Tensor:
    """Sum of the squares in float64: ranks that hold parts of it agree on the bits of float32."""
    if gradient.is_cuda:
        norm: Tensor = torch.linalg.vector_norm(gradient, dtype=torch.float64)
        return norm.square()
    total = torch.zeros((), dtype=torch.float64)
    flat = gradient.reshape(-1)
    for start in range(0, flat.numel(), _CACHED_ELEMENTS):  # a tenth of the time of all at once
        doubled = flat[start : start + _CACHED_ELEMENTS].double()
        total += torch.dot(doubled, doubled)
    return total


def _added(left: Sequence[Gradient], right: Sequence[Gradient]) -> list[Gradient]:
    """left + right, in place of left; a gradient that is missing is zero."""
    both = [(a, b) for a, b in zip(left, right, strict=True) if a is not None and b is not None]
    if both:
        torch._foreach_add_([a for a, _ in both], [b for _, b in both])
    return [b if a is None else a for a, b in zip(left, right, strict=True)]


@dataclass(frozen=True)
class _Bucket:
    """Adjacent elements of some gradients, of one dtype, which travel together.

    Args:
        parts: views of the gradients, flat.
        padded: their number, rounded up to a multiple of the ranks.
    """

    parts: list[Tensor]
    padded: int

    def sum_over(self, size: int) -> None:
        """Sums over the ranks in the shape of the tree: each rank sums one part and hands it out."""
        flat = self.parts[0].new_zeros(self.padded)
        torch.cat(self.parts, out=flat[: sum(part.numel() for part in self.parts)])
        received = torch.empty_like(flat)
        dist.all_to_all_single(received, flat)
        rows = list(received.view(size, -1))
        while len(rows) > 1:
            rows = [rows[i].add_(rows[i + 1]) for i in range(0, len(rows), 2)]
        _all_gather(flat, rows[0].contiguous())
        at = 0
        for part in self.parts:
            part.copy_(flat[at : at + part.numel()])
            at += part.numel()


def _buckets(gradients: Sequence[Tensor], size: int) -> list[_Bucket]:
    """The gradients cut into buckets; the cut is the same on all ranks and does not change the sums."""
    buckets: list[_Bucket] = []
    parts: list[Tensor] = []
    held = 0
    for gradient in gradients:
        flat = gradient.view(-1)
        while flat.numel():
            if parts and (held == _BUCKET_ELEMENTS or parts[0].dtype != flat.dtype):
                buckets.append(_Bucket(parts, -(-held // size) * size))
                parts, held = [], 0
            taken = flat[: _BUCKET_ELEMENTS - held]
            parts.append(taken)
            held += taken.numel()
            flat = flat[taken.numel() :]
    return [*buckets, _Bucket(parts, -(-held // size) * size)] if parts else buckets
