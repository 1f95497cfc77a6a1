"""Asks monitoring services for a number: what the pods of measurements run, one file for each service."""
