"""`phi4train data stats`: counts samples and tokens, and what a run would see of them."""

from argparse import ArgumentParser
from collections.abc import Sequence

from phi4train.cli.data.mixtures import add_mixtures, mixtures_of
from phi4train.visible import visible


def run(parser: ArgumentParser, words: Sequence[str]) -> None:
    """Prints the statistics of each mixture."""
    add_mixtures(parser)
    options = parser.parse_intermixed_args(words)
    mixtures = mixtures_of(options)
    from phi4train.data.inspection.stats import manifest_stats, render_stats
    from phi4train.run.schedule import build_schedule
    from phi4train.run.stage_data import data_plan, open_data

    for config, name in mixtures:
        data = open_data(config, name)
        max_steps = build_schedule(config).max_steps
        stats = manifest_stats(data.mixture, data_plan(config, data), max_steps)
        print(visible(render_stats(stats)))
