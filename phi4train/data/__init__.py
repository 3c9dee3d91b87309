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
        records.py (JSON -> Sample), frames.py (which frames of a video), prompts.py (Sample -> ids and
        labels), collate.py (decoded samples -> Batch)

What differs between modalities is in a `MediaKind`: media.py has the registry, image_kind.py (images.py:
bytes -> crops) and audio_kind.py (audio.py: bytes -> 16 kHz samples, audio_features.py: samples -> log-mel)
are phi4train's own. A further modality is registered from outside.

`check.py` validates, counts and shows; `evaluation_batches.py` reads a manifest once, in order.
Importing `manifest` pulls in neither torch nor numpy, so that a typo is reported at once.
"""
