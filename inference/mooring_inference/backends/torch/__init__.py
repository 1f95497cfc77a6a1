"""Models of PyTorch: exported programs, TorchScript and state dicts."""
