"""What can be chosen: bundled options and a user's own, in an order that people can follow."""

from pathlib import Path

import pytest

from phi4train.config.catalog import GROUPS, Catalog
from phi4train.errors import ConfigError


def write(folder: Path, name: str, text: str = "description: mine\n") -> None:
    path = folder / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_every_group_has_options_and_each_is_a_file() -> None:
    options = Catalog().options
    assert tuple(options) == GROUPS
    assert all(options[group] for group in GROUPS)
    assert all(path.is_file() for group in GROUPS for path in options[group].values())


def test_a_users_options_join_the_bundled_ones(tmp_path: Path) -> None:
    write(tmp_path, "stage/mine")
    write(tmp_path, "scale/tiny")
    bundled, joined = Catalog().options, Catalog(tmp_path).options
    assert joined["stage"].keys() - bundled["stage"].keys() == {"mine"}
    assert joined["scale"]["tiny"] == tmp_path / "scale" / "tiny.yaml"
    assert joined["hardware"] == bundled["hardware"]


def test_only_files_that_hydra_would_ignore_collide(tmp_path: Path) -> None:
    assert Catalog().collisions() == Catalog(tmp_path).collisions() == []
    for name in ("stage/lm_sft", "stage/mine", "lm_sft"):
        write(tmp_path, name)
    assert Catalog(tmp_path).collisions() == ["stage/lm_sft.yaml"]


def test_scales_go_from_the_default_to_the_ladder_by_size(tmp_path: Path) -> None:
    for name in ("5m", "zebra", "apple"):
        write(tmp_path, f"scale/{name}")
    scales = Catalog(tmp_path).scales
    assert scales[:2] == ["full", "demo"]
    sizes = [int(name.removesuffix("m")) for name in scales[2:] if name.removesuffix("m").isdigit()]
    assert sizes == sorted(sizes) and sizes[0] == 5 and len(sizes) > 3
    assert [name for name in scales if name in ("zebra", "apple")] == ["apple", "zebra"]


def test_a_users_stage_stands_behind_its_parents_even_in_a_circle(tmp_path: Path) -> None:
    write(tmp_path, "stage/aa", "description: A\nparents: [zz]\n")
    write(tmp_path, "stage/zz", "description: Z\nparents: [lm_sft, nowhere]\n")
    for one, other in (("left", "right"), ("right", "left")):
        write(tmp_path, f"stage/{one}", f"parents: [{other}]\n")
    described = Catalog(tmp_path).stage_descriptions()
    order = list(described)
    assert order.index("lm_sft") < order.index("zz") < order.index("aa")
    assert described["aa"] == "A" and described["left"] == described["right"] == ""
    assert "nowhere" not in described


@pytest.mark.parametrize("text", ["", "- a list\n", "just text\n"])
def test_a_stage_that_is_no_mapping_is_listed_without_a_description(tmp_path: Path, text: str) -> None:
    write(tmp_path, "stage/mine", text)
    assert Catalog(tmp_path).stage_descriptions()["mine"] == ""


def test_a_folder_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--config-dir must be a folder of yours · found none at"):
        Catalog(tmp_path / "nowhere")
