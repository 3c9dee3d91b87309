"""Speech in eight languages, sounds, and their written twins.

::

    words.py ── exchanges.py       what is said, asked and answered
    synthesis.py   words ──┐
    sounds.py      tones ──┴─> clips.py ── augmentation.py    who speaks; rooms and noise; FLAC; the record
    spoken.py, spoken_panels.py    exchanges and questions about panels, as clips
    written.py                     the same exchanges, sounds and questions, as text
"""
