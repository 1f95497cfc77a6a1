"""Registering what was tested as a version in MLflow's model registry."""
