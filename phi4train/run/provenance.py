"""Which code made an artifact."""

import subprocess
from pathlib import Path

import torch

import phi4train


def code_provenance() -> dict[str, str]:
    """Version of phi4train and torch, and the commit when the code runs from a git checkout."""
    provenance = {"version": phi4train.__version__, "torch": torch.__version__}
    folder = Path(phi4train.__file__).parent
    try:
        described = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return provenance
    return {**provenance, "commit": described.stdout.strip()}
