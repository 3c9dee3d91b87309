"""Tar shards and what is known of them.

::

    manifest.py   which shards, in which proportion        data_manifests/<name>.yaml
    source.py     bytes by range, local or remote, bounded cache
    writer.py     samples ──> <shard>.tar
    indexing.py   <shard>.tar ── members.py ──> <shard>.tar.idx/ ── index.py, tables.py, arrays.py
    mixture.py    the indexes of a manifest, side by side

Importing `manifest` pulls in neither torch nor numpy, so that a typo is reported at once.
"""
