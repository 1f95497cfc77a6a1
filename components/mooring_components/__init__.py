"""What runs inside the steps of Mooring's pipelines: pure functions, tested without a cluster."""
