"""`python -m tests.regression.golden --write`."""

import argparse
import json
import tempfile
from pathlib import Path

from tests.regression.golden.measured import GOLDEN_FILE, machine_kind, measured_stages
from tests.stage_workspace import Workspace, build_small_data, train_curriculum


def main() -> None:
    """Trains the tiny curriculum in a temporary folder and writes or prints what it measured."""
    parser = argparse.ArgumentParser(prog="python -m tests.regression.golden", description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"renew {GOLDEN_FILE.name}, not only print it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder) / "data", Path(folder) / "runs")
        build_small_data(workspace.data_root)
        train_curriculum(workspace)
        document = {"machine": machine_kind(), "stages": measured_stages(workspace)}
    text = json.dumps(document, indent=1) + "\n"
    if options.write:
        GOLDEN_FILE.write_text(text)
        print(f"{GOLDEN_FILE} is renewed: read its diff")
    else:
        print(text, end="")


if __name__ == "__main__":
    main()
