"""How good is a painting? Metrics, the benchmark that computes them, and statistics."""
