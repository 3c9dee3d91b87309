"""`phi4train data show`: prints a sample as the model sees it."""

from argparse import ArgumentParser
from collections.abc import Sequence

from phi4train.cli.data.mixtures import add_mixtures, mixtures_of
from phi4train.visible import visible


def run(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Prints one sample of each mixture."""
    add_mixtures(parser)
    parser.add_argument(
        "--number", type=int, default=0, help="position in the mixture (default: %(default)s)"
    )
    options = parser.parse_intermixed_args(words)
    mixtures = mixtures_of(options)
    from phi4train.data.inspection.show import show_sample
    from phi4train.data.shards.source import ShardSource
    from phi4train.run.stage_data import open_data

    for config, name in mixtures:
        data = open_data(config, name)
        source = ShardSource(data.cache_dir)
        shown = show_sample(data.mixture, data.tokenizer, data.limits, source, options.number)
        print(visible(shown))
