"""Mooring's serving runtime: one ONNX model behind KServe's V1 and V2 REST protocols.

The core does no I/O: ``protocol_v2`` and ``protocol_v1`` turn bytes into arrays and back, ``engine``
runs the model. ``app`` is the ASGI front over them and ``main`` the process around it.
"""
