"""Passages, dialogues and exercises in text alone.

::

    passages.py ── docs_questions.py   Shakespeare and Python's documentation; questions about the latter
    arithmetic.py                      exercises with numbers, and number words
    small_talk.py                      greetings, thanks, what the assistant is
"""
