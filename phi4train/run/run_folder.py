"""The folder of one run: what it holds, who may write to it, and how it is rewound for a resume."""

import fcntl
import json
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import yaml

from phi4train.checkpoint.store import clean_up
from phi4train.errors import CheckpointError, ResumeError
from phi4train.files import TEMPORARY_MARK, write_atomically
from phi4train.yaml_files import parse_yaml

RUN_FILES = (
    *("metrics.jsonl", "skipped.jsonl", "evaluations.jsonl", "logger_id", "loss.png", "regression.json"),
    *("evaluation.json", "answers.jsonl", "begun_by.json", "checkpoints", "artifact", "config.yaml"),
)
"""What a run and the commands that judge it write into its folder; the configuration goes last."""
RESULT_FILES = ("loss.png", "regression.json", "evaluation.json", "answers.jsonl", "artifact")
"""What there is of a run only once it is finished."""
_REPORTS = ("evaluation-*.json", "answers-*.jsonl")
"""Likewise, of the evaluations on other manifests."""

_held_locks: list[TextIO] = []
"""What this process holds; a lock lives as long as any process has its file open."""


def _drop_locks() -> None:
    """Closes in a forked process, such as a loader's worker, what only the process that forked is to hold."""
    while _held_locks:
        _held_locks.pop().close()


os.register_at_fork(after_in_child=_drop_locks)


class RunFolder:
    """`runs/<stage>/<run name>/`, made by `make` and not before: a run is looked at without a trace."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.yaml"
        self.metrics = path / "metrics.jsonl"
        self.skipped = path / "skipped.jsonl"
        self.evaluations = path / "evaluations.jsonl"
        self.evaluation = path / "evaluation.json"
        self.answers = path / "answers.jsonl"
        self.loss_plot = path / "loss.png"
        self.begun_by = path / "begun_by.json"
        self.checkpoints = path / "checkpoints"
        self.artifact = path / "artifact"

    def make(self) -> None:
        """Makes the folder if it is not there."""
        self.path.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the folder for this process alone, not for those it forks, rid of what killed writes left.

        Raises:
            ResumeError: another process is training in it.
        """
        self.make()
        with (self.path / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ResumeError(
                    f"only one process at a time may train in {self.path} · found another one that does · "
                    "wait for it, or choose another run.name"
                ) from None
            _held_locks.append(stream)
            try:
                for folder in (self.path, self.checkpoints):
                    clean_up(folder)
                yield
            finally:
                if stream in _held_locks:
                    _held_locks.remove(stream)

    def is_used(self) -> bool:
        """Whether an earlier run has left checkpoints or an artifact."""
        saved = self.checkpoints.iterdir() if self.checkpoints.is_dir() else ()
        return self.artifact.exists() or any(TEMPORARY_MARK not in path.name for path in saved)

    def set_aside(self, names: Sequence[str] = RUN_FILES) -> Path:
        """Moves what an earlier run wrote into `previous-<id>/`, and nothing else; nothing is deleted.

        Args:
            names: what is moved beside the reports, the last one last.
        """
        aside = self.path / f"previous-{uuid.uuid4().hex[:8]}"
        aside.mkdir()
        reports = [path.name for pattern in _REPORTS for path in self.path.glob(pattern)]
        for name in (*reports, *names):
            if (self.path / name).exists():
                (self.path / name).rename(aside / name)
        return aside

    def read_config(self) -> dict[str, Any] | None:
        """The configuration an earlier start wrote here; None when there is no such file.

        Raises:
            CheckpointError: the file is no YAML mapping.
        """
        if not self.config.is_file():
            return None
        try:
            document = parse_yaml(self.config.read_text(), str(self.config))
        except (yaml.YAMLError, UnicodeDecodeError):
            document = None
        if not isinstance(document, dict):
            raise CheckpointError(
                f"{self.config} must be the YAML mapping that the run wrote · found another text · "
                "put it back"
            )
        return document

    def logger_id(self) -> str:
        """The id of this run in logger services: the same after a resume, another one after setting aside."""
        path = self.path / "logger_id"
        if not path.is_file():
            write_atomically(path, uuid.uuid4().hex.encode())
        return path.read_text()

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Writes the resolved configuration, atomically."""
        write_atomically(self.config, yaml.safe_dump(dict(config), sort_keys=False).encode())

    def rewind(self, steps: range) -> list[str]:
        """Drops the lines of the JSONL files that belong to other steps, and those without a step.

        Args:
            steps: what the run has trained and goes on from.

        Returns:
            A line for each file that has lost records of these steps.
        """
        told = self.find_lost(steps)
        for path in self._stepped:
            if path.is_file():
                kept = [record for record in read_lines(path)[0] if _step_of(record) in steps]
                write_atomically(path, "".join(json.dumps(record) + "\n" for record in kept).encode())
        return told

    def find_lost(self, steps: range) -> list[str]:
        """A line for each JSONL file that has lost records of these steps."""
        told = []
        for path in self._stepped:
            records, num_lost = read_lines(path)
            found = [_step_of(record) for record in records]
            num_lost += found.count(None)
            known = {step for step in found if step in steps}
            if num_lost:
                told.append(f"{path} has lost {num_lost} lines, which cannot be read")
            elif path == self.metrics and len(known) < len(steps):
                num_missing = len(steps) - len(known)
                told.append(f"{path} has lost the metrics of {num_missing} of {len(steps)} steps")
        return told

    @property
    def _stepped(self) -> tuple[Path, ...]:
        """The JSONL files whose lines belong to steps."""
        return self.metrics, self.skipped, self.evaluations


def read_lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The objects of a JSONL file, none without a file, and how many of its lines could not be read.

    A last line that a kill cut short is left out; it counts only when it holds what no line can.
    """
    if not path.is_file():
        return [], 0
    *lines, rest = path.read_bytes().split(b"\n")
    read = [_object_of(line) for line in lines]
    records = [record for record in read if record is not None]
    return records, len(read) - len(records) + (b"\0" in rest)


def _object_of(line: bytes) -> dict[str, Any] | None:
    """The JSON object that a line holds; None: it holds none."""
    try:
        document = json.loads(line.decode())
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _step_of(record: Mapping[str, Any]) -> int | None:
    step = record.get("step")
    return step if isinstance(step, int) else None


def append_line(path: Path, record: Mapping[str, Any]) -> None:
    """Appends one JSON object to a JSONL file."""
    with path.open("a") as stream:
        stream.write(json.dumps(record) + "\n")
