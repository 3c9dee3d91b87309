"""A command that its scheduler starts again goes on with what it began, whatever `resume` says.

A person who types `resume=overwrite` again wants a new start; a scheduler that starts a preempted job again
does not. The two are told apart by the job: SLURM gives a requeued job its old id and a higher restart count.
The rule holds for what that job itself began with the same settings, data and parents, and for nothing else.
Other schedulers tell no such thing: there `resume=auto` is the mode for jobs that start again.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from phi4train.config.schema import Resume
from phi4train.files import write_atomically
from phi4train.run.run_folder import RunFolder


@dataclass(frozen=True)
class Attempt:
    """One start of a scheduler's job.

    Args:
        job: id of the job, the same in all its starts.
        restarts: how often it was started before.
    """

    job: str
    restarts: int


def current_attempt(environment: Mapping[str, str]) -> Attempt | None:
    """The attempt that a process with this environment belongs to; None: no scheduler tells."""
    job, restarts = environment.get("SLURM_JOB_ID"), environment.get("SLURM_RESTART_COUNT", "0")
    if not job or not restarts.isdecimal():
        return None
    return Attempt(job, int(restarts))


def note_beginning(folder: RunFolder, attempt: Attempt | None) -> None:
    """Notes in a run folder which attempt begins what it will hold, or that none does."""
    if attempt is None:
        folder.begun_by.unlink(missing_ok=True)
    else:
        write_atomically(folder.begun_by, json.dumps(asdict(attempt)).encode())


def resume_mode(asked: Resume, is_stale: bool, folder: RunFolder, attempt: Attempt | None) -> Resume:
    """What `resume` means in this start: `auto` in a later attempt of the job that began the run.

    Args:
        asked: as the command says.
        is_stale: the folder holds something else than the command would train.
        folder: of the run.
        attempt: this one.
    """
    if asked is Resume.auto or is_stale or attempt is None or not folder.is_used():
        return asked
    try:
        document: Any = json.loads(folder.begun_by.read_text())
        began = Attempt(**document)
        is_later = began.job == attempt.job and began.restarts < attempt.restarts
    except (OSError, ValueError, TypeError):  # no such file, or one that damage has left
        return asked
    return Resume.auto if is_later else asked
