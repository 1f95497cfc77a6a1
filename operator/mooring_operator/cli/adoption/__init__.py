"""Writes ModelDeployments for what serves models already: objects in, a spec and what it cannot say out."""
