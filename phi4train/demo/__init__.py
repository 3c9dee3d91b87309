"""The demo data: small, real, licence-clean, and built from installed packages without a network.

::

    build.py  stamp, staging folder, one atomic rename     <data_root>/demo/
      |
    families.py   every shard family: name, training samples, held-out samples
      |-- passages.py      Shakespeare and Python's documentation, cut into passages without loss
      |-- docs_questions.py, small_talk.py, arithmetic.py     dialogues and exercises in text alone
      |-- panels.py, questions.py        rows of digits, and what can be asked about them
      |       |-- panel_dialogues.py     the same questions about a drawn panel and about a written one
      |-- handwriting.py   draws panels with scikit-learn's handwritten digits
      |-- lines.py, photos.py            rendered text lines, two photographs
      |-- multi_image.py                 several panels in a turn, frames of a short video
      |-- speech.py, spoken_panels.py    speech in eight languages, spoken questions about drawn panels
      |       |-- speech_tasks.py, speech_words.py    what is said, asked and answered
      |       |-- written_speech.py                   the same exchanges with written audio
      |-- sounds.py                      tones, beeps and noise
      |       |-- speech_clips.py        who speaks, FLAC, and the sample around a clip
      |               |-- speech_synthesis.py, speech_augmentation.py    eSpeak NG; rooms and noise
    samples.py    what all families yield: a record and its media; the hash that holds a sample out

The written panels and the written audio are the twins of the drawn and the spoken ones: later stages freeze
the language model, so it must have learned from text what a question about digits means and how its answer
is written.
"""
