"""From files and frameworks of others to networks and properties: ONNX, torch, arrays, VNN-LIB."""
