"""The demo data: small, real, licence-clean, and built from installed packages without a network.

::

    build.py  stamp, staging folder, one atomic rename     <data_root>/demo/
      |
    families.py   every shard family: name, training samples, held-out samples
      |-- text/      running text, dialogues and exercises
      |-- images/    panels of digits drawn and written, text lines, photographs, several images, frames
      |-- speech/    words in eight languages and sounds, heard and written; spoken questions about panels
      |
    samples.py    what all families yield: a record and its media; the hash that holds a sample out

Speech takes words and panels from text/ and images/, which know nothing of each other.

The written panels and the written audio are the twins of the drawn and the spoken ones: later stages freeze
the language model, so it must have learned from text what a question about digits means and how its answer
is written.
"""
