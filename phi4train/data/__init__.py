"""The data engine: from tar shards to the batches of optimizer step k.

    manifest.py  which shards, in which proportion     data_manifests/<name>.yaml
        |
    shards.py    tar members by byte range             <shard>.tar, local or remote, bounded cache
    index.py     what is in a shard, memory-mapped     <shard>.tar.idx/
        |
    mixture.py   all indexes of a manifest, side by side
        |
    order.py     global batch k as a pure function of (seed, k); packing.py forms its packs
        |
    loader.py    decodes the rank's share of step k    StepBatch(step, micro_batches, skipped)
        records.py (JSON -> Sample), prompts.py (Sample -> ids and labels), images.py (bytes -> crops),
        collate.py (encoded samples -> Batch)

`check.py` validates, counts and shows; `evaluation_batches.py` reads a manifest once, in order.
Importing `manifest` pulls in neither torch nor numpy, so that a typo is reported at once.
"""
