"""What Lightning knows of the ranks: trainer, callbacks and loggers see true rank and world size."""

from typing import Any, TypeVar

import torch
from lightning.pytorch.strategies import SingleDeviceStrategy
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from phi4train.ranks import Ranks

_Object = TypeVar("_Object")


class RanksStrategy(SingleDeviceStrategy):
    """One of several processes, each with a device of its own; the steps are the module's own affair.

    Args:
        ranks: the processes of the run.
        device: of this one.
    """

    strategy_name = "ranks"

    def __init__(self, ranks: Ranks, device: torch.device) -> None:
        super().__init__(device=device)
        self._ranks = ranks
        self.global_rank = ranks.rank
        self.local_rank = device.index or 0 if device.type == "cuda" else ranks.rank
        self.world_size = ranks.size
        rank_zero_only.rank = ranks.rank  # type: ignore[attr-defined]

    @property
    def is_global_zero(self) -> bool:
        """Whether this is rank 0."""
        return self._ranks.is_first

    def barrier(self, *args: Any, **kwargs: Any) -> None:
        """Returns when all ranks have come here."""
        self._ranks.barrier()

    def broadcast(self, obj: _Object, src: int = 0) -> _Object:
        """The object of rank `src`."""
        return self._ranks.gather(obj)[src]

    def all_gather(self, tensor: Tensor, group: Any | None = None, sync_grads: bool = False) -> Tensor:
        """The tensors of all ranks, stacked; as it is on one rank."""
        return tensor if self._ranks.size == 1 else torch.stack(self._ranks.gather(tensor.detach()))

    def reduce(self, tensor: Any, group: Any | None = None, reduce_op: Any = "mean") -> Any:
        """The mean over all ranks, or the sum; what is no tensor stays as it is."""
        if self._ranks.size == 1 or not isinstance(tensor, Tensor):
            return tensor
        gathered = torch.stack(self._ranks.gather(tensor.detach()))
        is_sum = str(reduce_op).lower().endswith("sum")
        return gathered.sum(dim=0) if is_sum else gathered.float().mean(dim=0).to(tensor.dtype)
