"""Validates manifests as the API server would, without one.

The path of a document: `source` reads it with line numbers, `defaults` fills it in, `structure`
holds it to the CRD's OpenAPI schema, `rules` to its CEL rules; `check` goes through them in order.
"""
