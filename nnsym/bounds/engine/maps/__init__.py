"""Linear maps on tensors: the maps and constants of a network on a device, convolutions, windows, blocks."""
