"""Flags of commands as tables: what ``--help`` and the docs say, and what the command line takes."""
