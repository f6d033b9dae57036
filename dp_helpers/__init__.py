"""DreamPaint, step by step: paint a catalogue product into a photo.

The modules, in the order data flows: presets, catalog, segment, masks, finetune, inpaint, evaluate, canvas,
plots, panels, course.
Importing the package loads none of them, and no torch.
"""

__version__ = "0.1.0"
