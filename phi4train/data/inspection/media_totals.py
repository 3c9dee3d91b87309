"""Totals of media: how many items, hours and pixels the usable samples of a table have."""

from collections import Counter
from collections.abc import Mapping

from phi4train.data.media.kind import Rows
from phi4train.data.media.limits import Limits
from phi4train.data.media.registry import media_kind
from phi4train.data.order.lengths import shown_media
from phi4train.data.shards.tables import SampleTable

MediaTotals = Mapping[str, Mapping[str, float]]
"""Amounts that add up, by kind of media and unit."""


def add_media_totals(
    totals: dict[str, Counter[str]], table: SampleTable, samples: Rows, limits: Limits
) -> None:
    """Adds the media of these usable samples, of videos the frames that are shown, to `totals` by kind."""
    media, _ = shown_media(table, samples, limits)
    for number, name in enumerate(table.media_kinds):
        own = media[media["kind"] == number]
        if len(own):
            totals.setdefault(name, Counter()).update({"items": len(own), **media_kind(name).totals(own)})


def render_media_totals(totals: MediaTotals) -> list[str]:
    """One line a kind: `audio: 40 items, 0.05 hours, 40 clips at 16000 Hz`."""
    return [
        f"{name}: {', '.join(f'{_number(amount)} {unit}' for unit, amount in amounts.items())}"
        for name, amounts in sorted(totals.items())
    ]


def _number(amount: float) -> str:
    return f"{amount:,}" if isinstance(amount, int) else f"{amount:,.3g}" if amount < 1 else f"{amount:,.2f}"
