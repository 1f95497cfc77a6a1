"""Scoring of messages as they come. The command ``mooring-inference stream``."""
