"""docs/own_data.md is followed to the letter: its files are written, its commands run, in an empty folder."""

import os
import re
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
from PIL import Image

from tests.stage_workspace import QUICK, ROOT, Workspace

BLOCK = re.compile(r"^```(\w+)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
STEPS = 3
"""Instead of the 20 of the page."""


def make_raw(folder: Path) -> None:
    """The folder `raw/` that the page supposes."""
    rng = np.random.default_rng(0)
    for name in ("texts", "images", "speech"):
        (folder / name).mkdir(parents=True)
    captions = []
    for i in range(20):
        (folder / "texts" / f"{i}.txt").write_text(
            "It was the best of times, it was the worst of times. " * (1 + i % 4)
        )
        Image.fromarray(rng.integers(0, 255, (40 + i, 90, 3), dtype=np.uint8)).save(
            folder / "images" / f"{i}.png"
        )
        captions.append(f"{i}.png\tpicture {i}")
        with wave.open(str(folder / "speech" / f"{i}.wav"), "wb") as clip:
            clip.setnchannels(1)
            clip.setsampwidth(2)
            clip.setframerate(16000)
            clip.writeframes(rng.integers(-3000, 3000, 8000 + 800 * i, dtype=np.int16).tobytes())
        (folder / "speech" / f"{i}.txt").write_text(f"number {i}\n")
    (folder / "images" / "captions.tsv").write_text("\n".join(captions) + "\n")


def test_a_new_user_brings_own_text_images_and_speech(workspace: Workspace, tmp_path: Path) -> None:
    make_raw(tmp_path / "raw")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "demo").symlink_to(workspace.data_root / "demo")
    quick = [word for word in QUICK if not word.startswith(("scale=", "budget.", "schedule."))]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    printed = []
    for language, title, content in BLOCK.findall((ROOT / "docs" / "own_data.md").read_text()):
        if title:
            file = tmp_path / title
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content.replace("max_steps: 20", f"max_steps: {STEPS}"))
        elif language == "bash":
            for command in content.splitlines():
                words = command.replace("phi4train", f"{sys.executable} -m phi4train", 1).split()
                more = quick if "scale=demo" in words else []
                result = subprocess.run(
                    [*words, *more],
                    cwd=tmp_path,
                    env=environment,
                    capture_output=True,
                    text=True,
                    timeout=120,
                )
                assert result.returncode == 0, f"{command}\n{result.stdout}\n{result.stderr}"
                printed.append(result.stdout)
    assert "picture" in "".join(printed)
    for stage in ("my_texts", "my_images", "my_speech"):
        assert (tmp_path / "runs" / stage / "demo" / "artifact" / "lineage.json").is_file()
