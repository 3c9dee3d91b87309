"""Which rows of a packed batch use which LoRA adapter: by the mode of their sample, or by their own modality.

Shape suffixes: T tokens of the batch, N tokens of one adapter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from phi4train.batch import Batch
from phi4train.errors import did_you_mean
from phi4train.modes import adapter_of_kind, find_mode, known_modes

RoutingRule = Literal["sample", "token"]
"""`sample`: all tokens of a sample by its mode (as released); `token`: each token by its own modality."""

NO_ADAPTER = -1


def adapter_of_mode(mode: str) -> str | None:
    """The LoRA that samples of `mode` use, or None.

    Raises:
        ValueError: the mode is not registered.
    """
    known = find_mode(mode)
    if known is None:
        names = [each.name for each in known_modes()]
        raise ValueError(
            f"a sample's mode must be registered · found '{mode}'{did_you_mean(mode, names)} · "
            "register it with phi4train.modality.register_modality"
        )
    return known.adapter


@dataclass(frozen=True)
class AdapterRows:
    """The rows that one adapter works on.

    Args:
        adapter: name of the LoRA.
        rows: of the T axis: a slice where they are adjacent, which costs least, as those of samples of equal
            mode are in a batch; else indices, ascending, int64, (N,); None when it works on all rows.
    """

    adapter: str
    rows: slice | Tensor | None


@dataclass(frozen=True)
class BatchRouting:
    """The adapters of one batch; rows that no entry names use the base model alone."""

    assignments: tuple[AdapterRows, ...] = ()

    def naming_all(self, adapters: Sequence[str], num_rows: int) -> "BatchRouting":
        """The same routing with an entry for each of `adapters`, without rows where it had none.

        Args:
            adapters: in the order of all entries.
            num_rows: length of the T axis.
        """
        named = {entry.adapter for entry in self.assignments}
        missing = [AdapterRows(adapter, slice(0, 0)) for adapter in adapters if adapter not in named]
        if not missing:
            return self
        spelled = [
            AdapterRows(entry.adapter, slice(0, num_rows) if entry.rows is None else entry.rows)
            for entry in self.assignments
        ]
        return BatchRouting(tuple(sorted([*spelled, *missing], key=lambda entry: entry.adapter)))


def assign_adapters(batch: Batch, adapters: Sequence[str], rule: RoutingRule) -> Tensor:
    """For each token the index of its adapter in `adapters`, or NO_ADAPTER; int64 on the CPU, (T,).

    A mode or modality whose adapter is not among `adapters` uses none.

    Raises:
        ValueError: a mode is not registered.
    """
    by_sample = [_index_of(adapter_of_mode(mode), adapters) for mode in batch.modes]
    if rule == "sample":
        return torch.tensor(by_sample, dtype=torch.int64).repeat_interleave(
            torch.tensor(batch.sample_lengths, dtype=torch.int64)
        )
    by_token_T = torch.full((sum(batch.sample_lengths),), NO_ADAPTER, dtype=torch.int64)
    for modality, inputs in batch.media.items():
        by_token_T[inputs.positions.cpu()] = _index_of(adapter_of_kind(modality), adapters)
    return by_token_T


def build_routing(adapter_of_T: Tensor, adapters: Sequence[str], device: torch.device) -> BatchRouting:
    """The rows of each adapter, from the indices that `assign_adapters` gives."""
    assignments = []
    for index, adapter in enumerate(adapters):
        rows_N = (adapter_of_T == index).nonzero().squeeze(1)
        if len(rows_N) == len(adapter_of_T):
            return BatchRouting((AdapterRows(adapter, None),)) if len(rows_N) else BatchRouting()
        if len(rows_N):
            assignments.append(AdapterRows(adapter, _as_slice(rows_N) or rows_N.to(device)))
    return BatchRouting(tuple(assignments))


def _as_slice(rows_N: Tensor) -> slice | None:
    """The same rows as a slice, if they are adjacent."""
    first, last = int(rows_N[0]), int(rows_N[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows_N) else None


def _index_of(adapter: str | None, adapters: Sequence[str]) -> int:
    return adapters.index(adapter) if adapter in adapters else NO_ADAPTER
