"""Capture of features and predictions."""
