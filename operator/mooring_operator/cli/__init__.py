"""The command line ``mooring``, also ``kubectl mooring``: thin commands over pure modules."""
