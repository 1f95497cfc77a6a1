"""Objects that are written: spec in, dict out."""
