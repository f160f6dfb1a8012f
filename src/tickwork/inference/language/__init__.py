"""Language models: folders as they exist in the wild, served together with the bits of being served alone."""
