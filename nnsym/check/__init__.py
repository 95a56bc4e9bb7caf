"""The independent checker of certificates: nothing here imports nnsym, torch or onnx; the folder runs when copied out.

``errors`` numbers and refusals; ``model`` ONNX's bytes; ``graph``, ``functions``, ``operators`` the checker's own
lowering; ``vnnlib``, ``problem`` what is claimed of which networks; ``rule`` the one rule in integers; ``limbs`` the
same with NumPy; ``tree`` the cases; ``checker`` one certificate from file to verdict. The format: docs/certificates.md.
"""
