"""A small demo data set and the whole curriculum, two steps a stage: what tests of commands start from.

`python -m tests.stage_workspace FOLDER` builds the data.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from phi4train.config.curricula import DEFAULT_CURRICULUM, load_curriculum
from phi4train.config.load import load_config
from phi4train.config.schema import Config
from phi4train.curriculum.running import run_curriculum
from phi4train.demo.build import build_demo
from phi4train.demo.families import DemoSizes

ROOT = Path(__file__).resolve().parents[1]
"""The checkout."""

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


STAGES = load_curriculum(DEFAULT_CURRICULUM, None).stages
"""All stages, in the order of the default curriculum."""


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


def build_small_data(data_root: Path) -> None:
    """Builds the data in a process of its own: pytest patches modules whose docstrings are demo texts."""
    subprocess.run([sys.executable, "-m", "tests.stage_workspace", str(data_root)], cwd=ROOT, check=True)


def train_curriculum(workspace: Workspace) -> None:
    """Trains all stages, two steps each."""
    run_curriculum(STAGES, workspace.config, Console(quiet=True))


if __name__ == "__main__":
    build_demo(Path(sys.argv[1]), sizes=SMALL)
