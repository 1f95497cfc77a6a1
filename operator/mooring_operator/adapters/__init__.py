"""Adapters: one file for each outside system, behind a small Protocol."""
