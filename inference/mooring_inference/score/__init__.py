"""Offline scoring: files of rows in, Parquet out. The command ``mooring-inference score``."""
