"""How much audio a file holds: its frames and pages counted, whatever its header promises.

::

    counting.py ── wav.py, flac.py, ogg.py, mp3.py     bytes ──> bytes whose header tells the truth
                       └── tags.py, refusals.py

What measures a clip and what decodes it both read `counted(content)`, so they cannot disagree.
"""
