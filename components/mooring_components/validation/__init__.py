"""Does data have the form that it should have? One pass over it, in batches."""
