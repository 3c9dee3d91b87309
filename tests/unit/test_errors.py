"""Errors of users: one base, exit codes that a scheduler understands, names that were nearly right."""

import inspect
import os
import pickle

import pytest

from phi4train import errors
from phi4train.errors import ConfigError, Phi4TrainError, SampleError, StageInterrupted, did_you_mean

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, Exception) and kind is not Phi4TrainError
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_the_users_to_mend(kind: type[Exception]) -> None:
    assert issubclass(kind, Phi4TrainError)


def test_only_an_interrupted_run_asks_to_be_started_again() -> None:
    assert StageInterrupted.exit_code == os.EX_TEMPFAIL
    assert {kind.exit_code for kind in KINDS if kind is not StageInterrupted} == {2}  # type: ignore[attr-defined]


def test_a_configuration_error_lists_every_problem() -> None:
    assert ConfigError("one").problems == ["one"]
    several = ConfigError(f"problem {number}" for number in range(3))
    assert several.problems == ["problem 0", "problem 1", "problem 2"]
    assert str(several) == "problem 0\nproblem 1\nproblem 2"


def test_a_bad_sample_is_counted_by_its_cause_and_told_by_its_message() -> None:
    error = SampleError("broken_image", "an image decodes · found 3 bytes")
    assert (error.cause, str(error)) == ("broken_image", "an image decodes · found 3 bytes")


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind is not SampleError])
def test_an_error_survives_the_way_back_from_a_worker_process(kind: type[Exception]) -> None:
    back = pickle.loads(pickle.dumps(kind("what must hold · found x · do y")))
    assert type(back) is kind and str(back) == "what must hold · found x · do y"


def test_the_nearest_name_is_suggested_and_else_all_are_listed() -> None:
    known = {"vision_sft", "audio_sft", "lm_sft"}
    assert did_you_mean("vison_sft", known) == " (did you mean 'vision_sft'?)"
    assert did_you_mean("quantum", known) == " (known: audio_sft, lm_sft, vision_sft)"


def test_a_bad_sample_keeps_its_cause_on_the_way_back_from_a_worker_process() -> None:
    back = pickle.loads(pickle.dumps(SampleError("broken_image", "what must hold · found x · do y")))
    assert type(back) is SampleError and back.cause == "broken_image" and str(back).startswith("what must")
