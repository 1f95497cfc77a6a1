"""Look through a model's files before anything of them is loaded."""
