"""The verbs besides `train`: a line each, and a file each that is imported when the verb is typed."""

from phi4train.cli.words import Verb

VERBS = {
    "curriculum": Verb(
        "Train all stages that are missing or stale, parents first.",
        "phi4train.cli.curriculum",
        "scale=demo",
    ),
    "data": Verb(
        "Build, index, check, measure and look at data.",
        "phi4train.cli.data.verbs",
        "check demo_vision_sft",
    ),
    "evaluate": Verb(
        "Measure a trained stage on its held-out data, and show answers.",
        "phi4train.cli.evaluate",
        "stage=vision_sft scale=demo --show 8",
    ),
    "lineage": Verb(
        "Print where an artifact comes from: stages, data, code, seeds.",
        "phi4train.cli.lineage",
        "runs/vision_sft/demo/artifact",
    ),
}
"""By name; `train` is the verb when none is given."""
