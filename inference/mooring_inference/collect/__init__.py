"""Captures what models are asked on servers other than Mooring's: a collector for the events of KServe's logger.

Source: KServe 0.21, ``pkg/logger``. For each request the agent beside a model posts two CloudEvents in binary mode, one
with the body of the request and, where that was answered with 200, one with the body of the answer. It sends each once,
whatever it is answered, in any order, with the request's ``Content-Type`` on both.
"""
