"""The commands of ``python -m dp_helpers``: one module each, with `add` (its arguments) and `run`."""
