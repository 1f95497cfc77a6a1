"""Folders that MLflow writes."""
