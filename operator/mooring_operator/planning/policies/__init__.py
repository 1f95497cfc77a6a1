"""What policies ask of a revision, and whether they can be applied at all."""
