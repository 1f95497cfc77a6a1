"""Erasure: rows of a person are taken out of what was captured."""
