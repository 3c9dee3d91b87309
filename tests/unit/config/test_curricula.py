"""Curricula as files."""

from pathlib import Path

import pytest

from phi4train.config.curricula import load_curriculum
from phi4train.errors import ConfigError


def test_an_unknown_curriculum_is_told_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"found 'phi4_multimodl' \(did you mean 'phi4_multimodal'\?\)"):
        load_curriculum("phi4_multimodl")


def test_a_users_curriculum_is_found_and_checked(tmp_path: Path) -> None:
    (tmp_path / "curriculum").mkdir()
    (tmp_path / "curriculum" / "text.yaml").write_text("description: Text.\nstages: [lm_pretrain, lm_sft]\n")
    (tmp_path / "curriculum" / "bad.yaml").write_text("stages: [lm_pretrian]\norder: []\n")
    (tmp_path / "curriculum" / "empty.yaml").write_text("stages: []\n")
    assert load_curriculum("text", tmp_path).stages == ("lm_pretrain", "lm_sft")
    with pytest.raises(ConfigError) as caught:
        load_curriculum("bad", tmp_path)
    assert len(caught.value.problems) == 2
    with pytest.raises(ConfigError, match="must hold `description` and a list `stages`"):
        load_curriculum("empty", tmp_path)
    (tmp_path / "curriculum" / "broken.yaml").write_text("description: x\nstages: ]\n")
    with pytest.raises(ConfigError, match=r"curriculum/broken\.yaml, line 2: "):
        load_curriculum("broken", tmp_path)
