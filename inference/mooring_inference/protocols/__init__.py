"""KServe's V1 and V2 protocols: bytes to arrays and back; no I/O."""
