"""What is loaded: found by name and version, batched, and replaced while it serves."""
