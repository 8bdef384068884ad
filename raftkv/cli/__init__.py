"""The ``raftkv`` command: thin, and it imports what a verb needs only when that verb runs."""
