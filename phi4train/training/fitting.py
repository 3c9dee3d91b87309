"""Lets Lightning run the steps of a stage."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import lightning as L
from lightning.fabric.plugins.environments.lightning import LightningEnvironment

from phi4train.config.schema import HardwareConfig, Precision
from phi4train.run.torch_setup import resolve_device
from phi4train.training.module import StageModule
from phi4train.training.strategy import RanksStrategy
from phi4train.training.watching.loader_clock import LoaderClock

LIGHTNING_PRECISION: dict[Precision, Literal["32-true", "bf16-mixed"]] = {
    Precision.fp32: "32-true",
    Precision.bf16_mixed: "bf16-mixed",
    Precision.bf16_true: "32-true",  # the weights are cast here: Lightning would write to the StepBatch
}


def fit(
    module: StageModule,
    batches: LoaderClock,
    hardware: HardwareConfig,
    observers: Sequence[L.Callback],
    folder: Path,
) -> None:
    """Lets Lightning run one optimizer step per StepBatch until the batches end.

    Raises:
        KeyboardInterrupt: Ctrl-C stopped it at once; Lightning itself would end the process with status 1.
    """
    trainer = L.Trainer(
        accelerator="gpu" if resolve_device(hardware.device).type == "cuda" else "cpu",
        strategy=RanksStrategy(module.ranks, resolve_device(hardware.device)),
        devices=1,
        precision=LIGHTNING_PRECISION[hardware.precision],
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        callbacks=list(observers),
        plugins=[LightningEnvironment()],
        default_root_dir=folder,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        warnings.filterwarnings("ignore", message=".*module.* in eval mode.*")  # frozen parts belong there
        warnings.filterwarnings(
            "ignore", message=".*LeafSpec.* is deprecated"
        )  # Lightning's own use of torch
        try:
            trainer.fit(module, train_dataloaders=batches)
        except SystemExit as exit_of_lightning:
            raise KeyboardInterrupt from exit_of_lightning
