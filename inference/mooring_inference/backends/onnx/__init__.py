"""Models of ONNX, by ONNX Runtime."""
