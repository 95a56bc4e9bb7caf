"""From the inputs forward: intervals, and two affine functions or a zonotope around every node."""
