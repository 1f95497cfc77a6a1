"""What runs a model: one small interface, and one file for each format."""
