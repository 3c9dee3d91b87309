"""From plans to batches.

::

    decoding.py   a row of an index ──> encoding.py  ids, labels, processed media
    collate.py    decoded samples ──> one flat Batch
    loader.py     this rank's share of global batch k ──> StepBatch
    held_out.py   a manifest read once, in order
    bad_samples.py  how many of a run's samples may be unusable
"""
