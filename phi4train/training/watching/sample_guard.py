"""Counts samples, and stops a run whose data are bad."""

import lightning as L

from phi4train.data.batches.bad_samples import BadSampleLimits
from phi4train.data.batches.loader import StepBatch
from phi4train.errors import BadDataError
from phi4train.run.run_folder import RunFolder, append_line
from phi4train.training.watching.progress import Progress


class SampleGuard(L.Callback):
    """Counts samples, writes each skipped one to skipped.jsonl, and stops a run whose data are bad.

    Args:
        folder: where skipped.jsonl is.
        progress: counters of the run; updated before each step.
        max_bad_fraction: largest share of all samples so far that may be skipped.
        max_bad_in_a_row: skipped samples that stop the run, over steps without a good one.
        writes: whether this rank writes skipped.jsonl.
    """

    def __init__(
        self,
        folder: RunFolder,
        progress: Progress,
        max_bad_fraction: float,
        max_bad_in_a_row: int,
        writes: bool = True,
    ) -> None:
        self._folder = folder
        self._progress = progress
        self._limits = BadSampleLimits(max_bad_fraction, max_bad_in_a_row)
        self._writes = writes

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: StepBatch, batch_idx: int
    ) -> None:
        """Counts the batch that is about to be trained on."""
        skipped_samples = batch.facts.skipped
        for skipped in skipped_samples if self._writes else ():
            append_line(self._folder.skipped, {"step": batch.step, **vars(skipped)})
        self._progress.add(batch)
        if not skipped_samples:
            return
        so_far = self._progress
        broken = self._limits.broken_by(so_far.skipped_samples, so_far.samples, so_far.bad_in_a_row)
        if broken is not None:
            limit, found = broken
            causes = sorted({skipped.cause for skipped in skipped_samples})
            raise BadDataError(
                f"{limit} · found {found} (now: {', '.join(causes)}) · see {self._folder.skipped}, "
                "run `phi4train data check`, mend the shards or raise the limit; "
                "the last checkpoint is untouched"
            )
