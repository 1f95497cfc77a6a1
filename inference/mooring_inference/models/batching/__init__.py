"""Calls of many callers, run together: adaptive batching."""
