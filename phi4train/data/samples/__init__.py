"""One record: from JSON to token ids.

::

    records.py    JSON ── json_objects.py ──> Sample
    frames.py     which frames of a video are shown
    spellings.py  control tokens in texts, where they are plain characters
    prompts.py    Sample ──> ids and labels, with slots for media
    tokenizer.py  o200k, and small BPE tokenizers
"""
