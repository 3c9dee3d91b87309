"""What a run has left in its folder, read in one place."""

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from phi4train.checkpoint.artifact import Lineage, open_artifact
from phi4train.config.convert import read_config
from phi4train.errors import CheckpointError
from phi4train.run.branch import first_step
from phi4train.run.run_folder import RunFolder, read_lines
from phi4train.run.schedule import build_schedule


class RunRecord:
    """A run as its files tell it; each is read when it is first asked for.

    Lines that hold no object are left out; `lost` tells of them.

    Args:
        path: the run folder, `runs/<stage>/<run name>/`; nothing is written to it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = RunFolder(path)

    @classmethod
    def of_artifact(cls, artifact: Path) -> "RunRecord":
        """The run that left an artifact folder."""
        return cls(artifact.parent)

    @cached_property
    def config(self) -> Mapping[str, Any] | None:
        """The whole resolved configuration, as plain values; None: there is no config.yaml.

        Raises:
            CheckpointError: the file is no YAML mapping.
        """
        return self.folder.read_config()

    @cached_property
    def lineage(self) -> Lineage:
        """Where the artifact comes from.

        Raises:
            CheckpointError: the run has no artifact, or a damaged one.
        """
        return open_artifact(self.folder.artifact, needed_by="what reads the run").lineage

    @cached_property
    def lost(self) -> list[str]:
        """What cannot be read any more, a line a file: records that the other properties leave out.

        Of a finished run also steps whose metrics are gone, with or without metrics.jsonl.
        """
        unstepped = [(path, read_lines(path)[1]) for path in (self.folder.answers,)]
        return [
            *self.folder.find_lost(self._trained_steps()),
            *(f"{path} has lost {lost} lines, which cannot be read" for path, lost in unstepped if lost),
        ]

    def _trained_steps(self) -> range:
        """The steps of a finished run; of another one, those up to the last that is recorded."""
        try:
            config, unread = read_config(self.lineage.recipe)
            if not unread:  # else it is a recipe of another version
                return range(first_step(self.lineage.branched_from), build_schedule(config).max_steps)
        except CheckpointError:  # no artifact, or a damaged one
            pass
        known = [step for line in self.steps if isinstance(step := line.get("step"), int)]
        return range(min(known), max(known) + 1) if known else range(0)

    @cached_property
    def steps(self) -> list[dict[str, Any]]:
        """The metrics of every step; empty without metrics.jsonl."""
        return read_lines(self.folder.metrics)[0]

    @cached_property
    def evaluations(self) -> list[dict[str, Any]]:
        """The held-out metrics taken while it trained."""
        return read_lines(self.folder.evaluations)[0]

    @cached_property
    def evaluation(self) -> dict[str, Any] | None:
        """The held-out results at the end, as `evaluation.json` holds them; None: there are none.

        Raises:
            CheckpointError: the file is no JSON object.
        """
        path = self.folder.evaluation
        if not path.is_file():
            return None
        try:
            document = json.loads(path.read_text())
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise CheckpointError(
                f"{path} must be the JSON object that an evaluation wrote · found another text · "
                "put it back, or evaluate the stage again"
            )
        return document

    @cached_property
    def answers(self) -> list[dict[str, Any]]:
        """The model's answers to the held-out prompts at the end."""
        return read_lines(self.folder.answers)[0]

    @cached_property
    def skipped(self) -> list[dict[str, Any]]:
        """The samples that could not be used."""
        return read_lines(self.folder.skipped)[0]
