"""The data engine: from tar shards to the batches of optimizer step k.

::

    inspection/   check, stats, show
    batches/      plans and shards ──> StepBatch(step, micro_batches, skipped)
    order/        which samples are in global batch k
    shards/       manifests, tar members by byte range, memory-mapped indexes
    samples/      JSON ──> Sample ──> token ids and labels
    media/        image, audio and whatever is registered from outside
    commands.py   the commands that messages name

Each imports only what is below it.
"""
