"""What differs between modalities.

::

    kind.py      MediaKind: all that the engine asks of a modality
    registry.py  which kinds and modes there are
    image_kind.py ── images.py                       bytes ──> crops
    audio_kind.py ── audio.py ── audio_features.py   bytes ──> 16 kHz samples ──> log-mel
    limits.py    what a sample may measure
    spec_augment.py
"""
