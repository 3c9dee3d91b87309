"""Panels of digits, text lines, photographs, and what is asked about them.

::

    panels.py        digits in rows, as text and as the characters that stand where image tokens would
      ├─ handwriting.py    panel ──> PNG of scikit-learn's handwritten digits
      ├─ questions.py      panel ──> question and answer
      ├─ panel_dialogues.py   the same questions about a drawn panel and about a written one
      └─ multi_image.py       several panels in a turn, frames of a short video, and their text twins
    lines.py         rendered words with their transcription
    photos.py        two photographs of many crops
"""
