"""Mooring's serving runtime: models behind KServe's V1 and V2 protocols, over REST and gRPC.

A request passes through ``rest`` (or ``grpc_front``) and ``protocols`` to ``inference``, the one service that asks
``guards`` and has ``models`` run it in batches on ``backends``, and back; then observers of ``observability`` and
``capture`` are notified of it. ``server`` puts a process together, ``workers`` several. ``score`` and ``stream`` run
models over files and messages instead.
"""
