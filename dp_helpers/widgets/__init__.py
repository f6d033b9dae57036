"""Widgets for the lessons: the mask canvas and the panels. Each stands next to a plain call that does the same."""
