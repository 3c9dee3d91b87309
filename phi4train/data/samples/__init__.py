"""One record: from JSON to token ids.

::

    records.py    JSON ──> Sample
    frames.py     which frames of a video are shown
    prompts.py    Sample ──> ids and labels, with slots for media
    tokenizer.py  o200k, and small BPE tokenizers
"""
