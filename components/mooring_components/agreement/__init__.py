"""Compares what two revisions answered to the same requests: what the pods of template field `agreements` run."""
