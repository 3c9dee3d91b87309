"""What a run has consumed so far; saved in every checkpoint and restored on resume."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from phi4train.data.batches.loader import StepBatch


@dataclass
class Progress:
    """Counters over the whole run, over resumes too."""

    samples: int = 0
    tokens: int = 0
    targets: int = 0
    skipped_samples: int = 0
    bad_in_a_row: int = 0
    """Samples that could not be used since the last step with a good one."""
    skipped_steps: int = 0

    def add(self, batch: StepBatch) -> None:
        """Counts the samples of one step over all ranks, used and skipped."""
        facts = batch.facts
        used = facts.num_drawn - len(facts.skipped)
        self.samples += used
        self.tokens += facts.num_tokens
        self.targets += facts.num_targets
        self.skipped_samples += len(facts.skipped)
        self.bad_in_a_row = 0 if used else self.bad_in_a_row + len(facts.skipped)

    def to_document(self) -> dict[str, int]:
        """The counters as JSON."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Progress":
        """The counters that `to_document` returned."""
        return cls(**document)
