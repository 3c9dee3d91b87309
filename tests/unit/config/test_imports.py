"""Modules that a run names: found, imported before validation, and told in a line when they are not."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from phi4train.cli.main import main
from phi4train.config.imports import import_modules
from phi4train.config.load import load_config
from phi4train.errors import ConfigError
from phi4train.model import component_names

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module into the user's folder, which is returned; afterwards nothing of it is known."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    monkeypatch.setattr(component_names, "_FACTS", dict(component_names._FACTS))

    def write(name: str, code: str) -> Path:
        (tmp_path / f"{name}.py").write_text(code)
        return tmp_path

    return write


def problem(names: list[str], config_dir: Path | None) -> str:
    with pytest.raises(ConfigError) as caught:
        import_modules(names, config_dir)
    (only,) = caught.value.problems
    return only


def test_a_module_is_imported_from_the_users_folder_once(write: Write) -> None:
    folder = write("own_modality", "import sys\nsys.own_count = getattr(sys, 'own_count', 0) + 1\n")
    for _ in range(2):
        import_modules(["own_modality"], folder)
    assert vars(sys).pop("own_count") == 1
    assert sys.path[-1] == str(folder.resolve()), "a worker process imports from it too, after all others"


def test_nothing_is_searched_where_no_module_is_named(write: Write) -> None:
    before = list(sys.path)
    import_modules([], write("own_modality", "raise ValueError"))
    assert sys.path == before


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("own_modalty", r"found 'own_modalty' (did you mean 'own_modality'?) · correct"),
        ("nothing_like_it", "on the Python path · found 'nothing_like_it' · correct"),
        ("../own_modality", "imports must name modules, as `import` does · found '../own_modality' · write"),
        ("own_modality.py", "the module 'own_modality.py' of imports must be importable · found ModuleNotFoundError"),
        ("json", "a module of imports must have a name of its own · found "),
    ],
)  # fmt: skip
def test_a_module_that_is_not_there_is_told(write: Write, name: str, told: str) -> None:
    write("json", "")
    del sys.modules["json"]
    assert told in problem([name], write("own_modality", ""))


def test_without_a_folder_of_ones_own_the_message_says_so(write: Write) -> None:
    assert "the folder of --config-dir (not given) or on the Python path" in problem(["own_modality"], None)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("x = 1\nraise ValueError('taken\\nand more')", "found ValueError: taken (PATH, line 2) · mend it"),
        ("import not_installed_anywhere", "found ModuleNotFoundError: No module named 'not_installed_anywhere'"),
        ("import sys\nsys.exit(3)", "found SystemExit: 3 (PATH, line 2)"),
        ("def f(:", "found SyntaxError"),
    ],
)  # fmt: skip
def test_a_module_that_raises_is_told_in_a_line_with_its_place(write: Write, code: str, told: str) -> None:
    folder = write("own_modality", code)
    line = problem(["own_modality"], folder)
    assert told.replace("PATH", str(folder / "own_modality.py")) in line
    assert "\n" not in line


def test_the_command_exits_with_2_and_tells_what_else_was_wrong(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write("own_modality", "raise ValueError('no')")
    code = main(
        ["stage=lm_sft", "scale=demo", "imports=[own_modality]", "seeed=1", "--config-dir", str(folder)]
    )
    lines = capsys.readouterr().err.splitlines()
    assert code == 2
    assert lines[0] == "2 errors:"
    assert "seeed must be a key" in lines[1] and "found ValueError: no" in lines[2]


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("from phi4train.data.shards import ShardWriter",
         "phi4train.data.shards.ShardWriter is now phi4train.data.shards.writer.ShardWriter"),
        ("from phi4train.data.loader import DataPlan", "phi4train.data.loader is now phi4train.data.batches.loader"),
        ("import phi4train.data.loader as l", "phi4train.data.loader is now phi4train.data.batches.loader"),
        ("from phi4train.data import loader", "phi4train.data.loader is now phi4train.data.batches.loader"),
        ("import phi4train.training.inputs",
         "phi4train.training.inputs is now phi4train.run.inputs and phi4train.run.paths and phi4train.run.stage_data"),
    ],
)  # fmt: skip
def test_a_users_module_with_an_old_import_is_told_the_new_one(
    code: str, told: str, write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write("own_modality", f"import json\n{code}\n")
    assert main(["stage=lm_sft", "scale=demo", "imports=[own_modality]", "--config-dir", str(folder)]) == 2
    message = capsys.readouterr().err
    assert message.endswith(f" ({folder}/own_modality.py, line 2) · {told}\n")
    assert message.count("\n") == 1 and "Traceback" not in message


def test_all_old_imports_of_a_module_are_told_at_once(write: Write) -> None:
    code = "from phi4train.data.media import (\n    media_kind,\n    MediaKind,\n)\nfrom phi4train.data import collate\n"
    with pytest.raises(ConfigError) as caught:
        import_modules(["own_modality"], write("own_modality", code))
    assert [problem.rpartition(" · ")[2] for problem in caught.value.problems] == [
        "phi4train.data.media.media_kind is now phi4train.data.media.registry.media_kind",
        "phi4train.data.media.MediaKind is now phi4train.data.media.kind.MediaKind",
        "phi4train.data.collate is now phi4train.data.batches.collate",
    ]


def test_a_name_that_never_was_is_told_as_python_does(write: Write) -> None:
    with pytest.raises(ConfigError, match="found ImportError: cannot import name 'Nothing'"):
        import_modules(["own_modality"], write("own_modality", "from phi4train.data.shards import Nothing"))


ADDING = """\
from phi4train.model.component_names import ComponentFacts, add_component_facts
add_component_facts("own_encoder", ComponentFacts(True, "own", sizes={"width": 8, "scale": 0.5}))
add_component_facts("lora.own", ComponentFacts())
"""


def own(write: Write, *more: str, code: str = ADDING) -> list[str]:
    """The problems of a run that trains what the module adds."""
    overrides = [
        *("stage=lm_sft", "scale=demo", "imports=[own_modality]", "trainable=[own_encoder,lora.own]"),
        *("init.own_encoder=fresh", "init.lora.own=fresh", "model.lora.own.r=4", *more),
    ]
    try:
        load_config(overrides, write("own_modality", code))
    except ConfigError as error:
        return error.problems
    return []


def test_added_components_adapters_and_sizes_are_known_to_validation(write: Write) -> None:
    assert own(write, "model.extra.own_encoder.width=16", "model.extra.own_encoder.scale=0.25") == []
    assert component_names.size_of("own_encoder.width", {"own_encoder.width": 16.0}) == 16
    assert component_names.size_of("own_encoder.scale", {}) == 0.5


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("model.extra.own_encoder.widht=3", "found 'own_encoder.widht' (did you mean 'own_encoder.width'?)"),
        ("model.extra.own_encoder.width=2.5", "model.extra.own_encoder.width must be a whole number · found 2.5"),
        ("trainable=[own_encodr]", "found 'own_encodr' (did you mean 'own_encoder'?)"),
        ("model.lora.ovn.r=3", "found 'ovn' (did you mean 'own'?)"),
    ],
)  # fmt: skip
def test_a_wrong_name_beside_added_ones_is_told(write: Write, override: str, told: str) -> None:
    assert told in "\n".join(own(write, override))


def test_the_facts_of_an_added_component_decide_what_may_be_asked_of_it(write: Write) -> None:
    layers, reading = "hardware.activation_checkpointing=[own_encoder]", "auxiliary.reading_weight=0.5"
    assert own(write, layers, reading) == []
    (problem,) = own(write, "hardware.activation_checkpointing=[lora.own]")
    assert "components with layers, " in problem and "or own_encoder · found 'lora.own'" in problem
    (problem,) = own(write, "auxiliary.ctc_weight=0.5")
    assert "own_encoder" not in problem.partition(" · found")[0], "it makes tokens, but none of audio"
    (problem,) = own(write, reading, "trainable=[lora.own]")
    assert "one of vision_encoder" in problem and "own_encoder · found 0.5" in problem


def test_an_added_component_is_copied_from_its_family_alone(write: Write) -> None:
    (problem,) = own(write, "init.own_encoder=language_model")
    assert "init.own_encoder must copy a component with tensors of the same shapes" in problem


def test_an_added_adapter_may_be_copied_from_one_of_the_same_rank(write: Write) -> None:
    folder = write("own_modality", ADDING)
    copied = [
        *("stage=audio_sft", "scale=demo", "imports=[own_modality]", "init.lora.own=lora.vision"),
        "parents=[vision_sft,audio_pretrain]",
    ]
    rank = load_config(["stage=vision_sft", "scale=demo"]).model.lora["vision"].r
    load_config([*copied, f"model.lora.own.r={rank}"], folder)
    with pytest.raises(ConfigError, match=r"init.lora.own must copy .* same shapes · found 'lora.vision'"):
        load_config([*copied, f"model.lora.own.r={rank + 1}"], folder)


def test_an_added_component_may_name_its_family(write: Write) -> None:
    related = ADDING.replace('ComponentFacts(True, "own", ', 'ComponentFacts(True, "own", "language_model", ')
    assert own(write, "init.own_encoder=language_model", code=related) == []


def test_a_size_that_nobody_adds_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"found 'own_encoder\.width', and imports that add none"):
        load_config(["stage=lm_sft", "scale=demo", "model.extra.own_encoder.width=3"])


def test_a_stage_must_import_what_its_parent_did(write: Write) -> None:
    folder = write("own_modality", ADDING)
    (folder / "stage").mkdir()
    (folder / "stage" / "own.yaml").write_text(
        "# @package _global_\ndefaults: [lm_sft]\nimports: [own_modality]\n"
        "init: {own_encoder: fresh}\ntrainable: [own_encoder]\n"
    )
    child = ["stage=lm_sft", "scale=demo", "parents=[own]"]
    load_config([*child, "imports=[own_modality]"], folder)
    for name in ("own_encoder", "lora.own"):
        component_names.remove_component_facts(name)
    with pytest.raises(ConfigError, match="the component own_encoder comes from a parent"):
        load_config(child, folder)
