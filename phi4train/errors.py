"""The errors that a user can cause, all in one grammar: what must hold, what was found, what to do."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class Phi4TrainError(Exception):
    """Base of all errors that are the user's to mend: printed without a traceback."""

    exit_code = 2
    """What the process exits with."""


class ConfigError(Phi4TrainError):
    """A key, name or value of the configuration does not hold; lists every problem found."""

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class ManifestError(Phi4TrainError):
    """A data manifest, or a shard or index it names, is missing or malformed."""


class SampleError(Phi4TrainError):
    """One sample cannot be used; the data engine counts it and goes on. `cause` is a short stable slug."""

    def __init__(self, cause: str, message: str) -> None:
        self.cause = cause
        super().__init__(message)

    def __reduce__(self) -> tuple[type["SampleError"], tuple[str, str]]:
        return SampleError, (self.cause, str(self))


class BadDataError(Phi4TrainError):
    """More samples were bad than the recipe allows."""


class CheckpointError(Phi4TrainError):
    """A checkpoint or artifact is missing, incomplete, corrupt or belongs to another model."""


class ResumeError(Phi4TrainError):
    """A run cannot be continued because its science settings or its data have changed."""


class FrozenParameterError(Phi4TrainError):
    """A tensor outside the stage's trainable components moved."""


class StageInterrupted(Phi4TrainError):
    """A signal asked the run to stop; it saved its state, and the same command goes on (EX_TEMPFAIL)."""

    exit_code = 75


class RankError(Phi4TrainError):
    """One of several processes ended before its run did; the others were stopped, and the run can go on."""


class SweepError(Phi4TrainError):
    """Some trials of a sweep were not trained; the others were."""


class NonFiniteError(Phi4TrainError):
    """Loss or gradient was not finite for too many steps in a row."""


def quoted(problem: str) -> str:
    """A message as what another one has found: without its own advice, which is for somebody else."""
    return problem.rpartition(" · ")[0].replace(" · ", ", ") or problem


def few(lines: Sequence[str], most: int = 5) -> list[str]:
    """The first lines of a list that may have thousands, and how many more there are."""
    left = len(lines) - most
    return [*lines[:most], f"and {left:,} more"] if left > 0 else list(lines)


def shortened(found: object, width: int = 80) -> str:
    """What was found, cut in the middle so that a message stays a line."""
    text = str(found)
    half = (width - 3) // 2
    return text if len(text) <= width else f"{text[:half]}...{text[-half:]}"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns ` (did you mean 'x'?)` for the nearest of `known`, or the sorted list of what is known."""
    options = sorted(known)
    close = get_close_matches(name, options, n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else f" (known: {', '.join(few(options, 30))})"
