"""Plain models: tensors in, tensors out, with the bits of being asked alone."""
