"""Mooring's serving runtime: models behind KServe's V1 and V2 protocols, over REST and gRPC.

A request passes through ``http_server`` (or ``grpc_front``), ``rest``, the protocol's codec, ``guards``, the model's
``batching`` and ``backends``, and back; then ``observing`` tells metrics, capture and traces of it. ``server`` puts a
process together, ``workers`` several, and ``repository`` holds the models. ``score`` and ``stream`` run models over
files and messages instead.
"""
