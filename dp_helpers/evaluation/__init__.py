"""How good is a painting? Metrics."""
