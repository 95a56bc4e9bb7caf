"""Networks built like those of the field's families, exported by torch: read, equal to ONNX Runtime, and bounded."""
