"""KServe's V1 and V2 protocols over HTTP."""
