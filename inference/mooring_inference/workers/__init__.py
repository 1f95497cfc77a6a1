"""Several worker processes that are one server: sockets, supervision, changes of models."""
