"""The decision core: pure functions of spec, status, observations and the time.

Nothing in here does I/O, reads a clock or knows kopf; import-linter holds it to that.
"""
