"""Data and runs of the integration tests."""

from dataclasses import dataclass
from pathlib import Path

from phi4train.config.load import load_config
from phi4train.config.schema import Config
from phi4train.demo.families import DemoSizes

SMALL = DemoSizes(
    written_panels=200,
    exercises=200,
    small_talk=50,
    captions=200,
    lines=50,
    drawn_panels=300,
    photos=5,
    multi_image=40,
    video=20,
    written_multi_image=60,
    asr=60,
    ast=30,
    sqa=20,
    sqqa=20,
    ssum=5,
    sounds=20,
    spoken_panels=60,
    written_speech=100,
    held_out_captions=10,
    held_out_lines=5,
    held_out_per_task=4,
    held_out_per_written_task=2,
    held_out_multi_image=7,
    held_out_per_language=1,
    held_out_audio=4,
)
QUICK = [
    "scale=demo",
    "budget.tokens=null",
    "budget.max_steps=2",
    "budget.global_batch_tokens=512",
    "data.context_tokens=512",
    "hardware.micro_batch_tokens=512",
    "hardware.num_threads=1",
    "model.language_model.num_layers=2",
    "model.vision.num_layers=3",
    "model.audio.num_layers=1",
    "evaluation.max_samples=2",
    "evaluation.baseline_samples=20",
    "schedule.warmup_steps=1",
]
"""Two steps of a two-layer model: what every stage can do in a second or two."""


@dataclass(frozen=True)
class Workspace:
    """Data and runs of a test: `overrides` point a command at them."""

    data_root: Path
    runs: Path

    @property
    def overrides(self) -> list[str]:
        """For the command line and for `load_config`."""
        return [*QUICK, f"run.root={self.runs}", f"run.data_root={self.data_root}"]

    def config(self, stage: str, *more: str) -> Config:
        """The configuration of a quick stage in this workspace."""
        return load_config([f"stage={stage}", *self.overrides, *more])
