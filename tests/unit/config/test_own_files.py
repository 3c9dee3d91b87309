"""Files of a user's folder are looked through before they are composed."""

import re
import time
from pathlib import Path

import pytest

from phi4train.config.load import load_config
from phi4train.config.own_files import MAX_COMPOSED_BYTES, check_own_files
from phi4train.errors import ConfigError
from phi4train.yaml_files import MAX_CHARS

HEADER = "# @package _global_\n"
DERIVED = f"{HEADER}defaults: [lm_sft]\n"


def write(folder: Path, place: str, text: str) -> Path:
    path = folder / place
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "place", ["stage/own.yaml", "scale/own.yaml", "hardware/own.yaml", "at_scale/demo/own.yaml"]
)
def test_a_file_without_its_header_is_told_in_one_line(place: str, tmp_path: Path) -> None:
    path = write(tmp_path, place, "seed: 1\n")
    with pytest.raises(ConfigError) as caught:
        load_config(["stage=lm_sft"], tmp_path)
    (problem,) = caught.value.problems
    assert "must start with the line `# @package _global_`" in problem and f"found {path} without" in problem


def test_files_that_are_no_options_need_no_header(tmp_path: Path) -> None:
    for place in ("curriculum/own.yaml", "data_manifests/own.yaml", "notes.yaml"):
        write(tmp_path, place, "a: 1\n")
    write(tmp_path, "stage/own.yaml", "# mine\n#@package _global_\nseed: 1\n")
    check_own_files(tmp_path)
    check_own_files(None)


def test_a_thousand_files_of_one_mistake_are_few_lines(tmp_path: Path) -> None:
    for number in range(50):
        write(tmp_path, f"stage/own{number}.yaml", "seed: 1\n")
    with pytest.raises(ConfigError) as caught:
        check_own_files(tmp_path)
    assert len(caught.value.problems) == 6 and caught.value.problems[-1] == "and 45 more"


@pytest.mark.parametrize(
    ("place", "size"), [("stage/own.yaml", MAX_COMPOSED_BYTES), ("data_manifests/own.yaml", MAX_CHARS)]
)
def test_a_huge_file_is_not_read(
    place: str, size: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, place, f"{DERIVED}description: {'x' * size}\n")
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: pytest.fail("it was read"))
    with pytest.raises(ConfigError, match=rf"at most {size:,} bytes · found [\d,]+ in {path}"):
        check_own_files(tmp_path)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("init: " + "{a: " * 500 + "1" + "}" * 500, r"line 3: values nested too deeply"),
        ("trainable: " + "[" * 500 + "]" * 500, r"line 3: values nested too deeply"),
        ("init:\n" + "".join(" " * n + "a:\n" for n in range(1, 400)), r"line \d+: values nested too deeply"),
        ("seed: 1" + "0" * 5000, r"line 4: Exceeds the limit \(4300 digits\)[^;]* · mend"),
    ],
    ids=["mappings", "lists", "blocks", "digits"],
)  # fmt: skip
def test_what_no_parser_can_take_is_told_with_file_and_line(text: str, found: str, tmp_path: Path) -> None:
    path = write(tmp_path, "stage/own.yaml", f"{DERIVED}{text}\n")
    start = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        load_config(["stage=own", "scale=demo"], tmp_path)
    (problem,) = caught.value.problems
    assert str(path) in problem and re.search(found, problem), problem
    assert len(problem) < 400 and time.perf_counter() - start < 20


@pytest.mark.parametrize("key", ["seed", "optimizer.lr"])
def test_a_number_beyond_all_numbers_is_a_wrong_value(key: str, tmp_path: Path) -> None:
    number = "1" + "0" * 400
    for overrides, folder in ((["stage=lm_sft", f"{key}={number}"], None), (["stage=own"], tmp_path)):
        *section, last = key.split(".")
        inner = f"{last}: {number}"
        write(
            tmp_path, "stage/own.yaml", DERIVED + (f"{section[0]}: {{{inner}}}" if section else inner) + "\n"
        )
        with pytest.raises(
            ConfigError, match=rf"{key} must be a (whole )?number · found 10+\.\.\.0+ · correct"
        ):
            load_config(overrides, folder)


def test_files_that_lead_into_each_other_without_end_are_one_line(tmp_path: Path) -> None:
    for number in range(900):
        write(tmp_path, f"stage/s{number}.yaml", f"{HEADER}defaults: [s{number + 1}]\n")
    write(tmp_path, "stage/s900.yaml", DERIVED)
    with pytest.raises(ConfigError, match="lead into each other too deeply"):
        load_config(["stage=s0", "scale=demo"], tmp_path)


def test_a_long_chain_of_parents_is_refused_before_all_are_composed(tmp_path: Path) -> None:
    for number in range(300):
        write(tmp_path, f"stage/{'s' * 100}{number}.yaml", f"{DERIVED}parents: [{'s' * 100}{number + 1}]\n")
    write(tmp_path, f"stage/{'s' * 100}300.yaml", DERIVED)
    with pytest.raises(ConfigError, match="at most 50 stages before it · found more before"):
        load_config([f"stage={'s' * 100}0", "scale=demo"], tmp_path)
