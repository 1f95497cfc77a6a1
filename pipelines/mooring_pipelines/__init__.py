"""Mooring."""
