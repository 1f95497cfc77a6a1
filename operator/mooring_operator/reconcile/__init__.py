"""The reconcile paths: observe, plan, write the status, act."""
