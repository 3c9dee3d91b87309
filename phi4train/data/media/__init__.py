"""What differs between modalities.

::

    kind.py      MediaKind: all that the engine asks of a modality
    registry.py  which kinds and modes there are
    image_kind.py ── image_files.py ── images.py                    bytes ──> pixels ──> crops
    audio_kind.py ── audio_files/ ── audio.py ── audio_features.py  bytes ──> 16 kHz samples ──> log-mel
    silence.py   what decoders would print
    limits.py    what a sample may measure
    spec_augment.py
"""
