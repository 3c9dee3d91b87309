"""What C code prints is not seen, and what is printed afterwards is."""

import os

import pytest

from phi4train.data.media.silence import silent_stderr


def test_standard_error_is_silent_and_comes_back(capfd: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        with silent_stderr():
            os.write(2, b"from C")
        os.write(2, b".")
    assert capfd.readouterr().err == "..."


def test_it_comes_back_after_an_error_and_leaves_no_file_open(capfd: pytest.CaptureFixture[str]) -> None:
    free = os.dup(0)
    os.close(free)
    with pytest.raises(ValueError, match="inside"), silent_stderr():
        raise ValueError("inside")
    os.write(2, b"seen")
    assert capfd.readouterr().err == "seen"
    now = os.dup(0)
    os.close(now)
    assert now == free
