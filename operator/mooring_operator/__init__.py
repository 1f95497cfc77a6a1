"""Mooring's operator: resources, decision core, adapters, handlers and command line."""
