"""Signatures of models, in the format of OpenSSF Model Signing, by keys of elliptic curves and without any network."""
