"""Mooring's pipelines: their definitions, their compiled form, and a server that runs them."""
