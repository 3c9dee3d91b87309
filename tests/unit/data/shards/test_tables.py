"""The columns of an index: wide enough for what is counted in them, and the same on every machine."""

import numpy as np
import pytest

from phi4train.data.media.kind import MediaSize
from phi4train.data.samples.records import parse_sample
from phi4train.data.shards import indexing, members
from phi4train.data.shards.index import INDEX_VERSION
from phi4train.data.shards.mixture import ArrayTable
from phi4train.data.shards.tables import MAX_TASKS, MEDIA_DTYPE, RECORD_SHAPES, SAMPLE_DTYPE


@pytest.mark.parametrize("dtype", [SAMPLE_DTYPE, MEDIA_DTYPE], ids=["samples", "media"])
def test_bytes_mean_the_same_on_every_machine_and_none_is_padding(dtype: np.dtype) -> None:
    assert dtype.names is not None
    columns = [dtype[name] for name in dtype.names]
    assert all(column.byteorder in "<|=" and column.newbyteorder("<") == column for column in columns)
    assert dtype.itemsize == sum(column.itemsize for column in columns)


def test_the_columns_are_those_of_this_version_of_the_index() -> None:
    # whoever changes a column raises INDEX_VERSION, and then these
    assert (INDEX_VERSION, SAMPLE_DTYPE.itemsize, MEDIA_DTYPE.itemsize) == (5, 48, 43)


def test_limits_of_a_shards_members_fit_their_columns() -> None:
    sample, media = np.zeros(1, SAMPLE_DTYPE), np.zeros(1, MEDIA_DTYPE)
    sample["size"], media["size"] = members.MAX_RECORD_BYTES, members.MAX_MEDIA_BYTES
    sample["media_count"] = indexing.MAX_MEDIA_PER_SAMPLE
    assert int(sample["size"][0]) == members.MAX_RECORD_BYTES
    assert int(media["size"][0]) == members.MAX_MEDIA_BYTES
    sample["task"] = MAX_TASKS
    assert int(sample["task"][0]) == MAX_TASKS
    assert int(sample["media_count"][0]) == indexing.MAX_MEDIA_PER_SAMPLE


def test_a_media_row_holds_every_number_of_a_size() -> None:
    assert MEDIA_DTYPE.names is not None
    first = MEDIA_DTYPE.names.index("width")
    assert MEDIA_DTYPE.names[first : first + 4] == MediaSize._fields, "rows are written in this order"


DIALOGUE = b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}'


@pytest.mark.parametrize(("record", "shape"), [(b'{"text": "a"}', "text"), (DIALOGUE, "messages")])
def test_every_record_that_parses_has_a_shape_of_the_table(record: bytes, shape: str) -> None:
    assert parse_sample("k", record).shape == shape
    assert shape in RECORD_SHAPES


def test_rows_in_memory_count_their_samples() -> None:
    table = ArrayTable(np.zeros(7, SAMPLE_DTYPE), np.zeros(2, MEDIA_DTYPE))
    assert table.num_samples == 7 and table.causes == table.media_kinds == ()
