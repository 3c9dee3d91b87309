"""The verbs below `data`: a line each, and a file each that is imported when the verb is typed."""

from argparse import ArgumentParser
from collections.abc import Sequence

from phi4train.cli.words import Verb, run_verb

DATA_VERBS = {
    "build": Verb(
        "Build the demo data set from real sources that pip installs.", "phi4train.cli.data.build", "demo"
    ),
    "index": Verb(
        "Write the index beside each shard of a mixture.", "phi4train.cli.data.index", "demo_vision_sft"
    ),
    "check": Verb(
        "Compare shards with their indexes; tell what would be left out, and why.",
        "phi4train.cli.data.check",
        "demo_vision_sft",
    ),
    "stats": Verb(
        "Count samples and tokens, and what a run would see of them.",
        "phi4train.cli.data.stats",
        "stage=vision_sft scale=demo",
    ),
    "show": Verb(
        "Print a sample as the model sees it, with what is trained on between marks.",
        "phi4train.cli.data.show",
        "demo_vision_sft --number 3",
    ),
}
"""By name."""


def run(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Dispatches to the verb below `data`."""
    listing = "\n".join(f"  {name:6} {verb.summary}" for name, verb in DATA_VERBS.items())
    parser.description = f"{parser.description}\n\n{listing}"
    parser.add_argument("verb", choices=list(DATA_VERBS), help="each has --help")
    options = parser.parse_args(words[:1])
    run_verb(f"data {options.verb}", DATA_VERBS[options.verb], words[1:])
