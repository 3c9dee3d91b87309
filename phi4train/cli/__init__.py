"""The command line: one file a verb, imported when it is typed.

::

    main.py    dispatches, prints users' errors without traceback
    verbs.py   the table of verbs: one line each
    words.py   what all verbs share
    help.py    the text of --help
"""
