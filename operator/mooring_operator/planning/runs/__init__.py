"""Runs of pipelines: what is asked for, how they do, and whose turn it is."""
