"""Where turns run. Every pool gives the same outcomes; they differ in speed and in what they need."""
