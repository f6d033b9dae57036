"""DreamPaint, step by step: paint a catalogue product into a photo.

`MODULES` lists the modules in the order in which data flows through them. A module imports only modules
that stand above it in the list. Importing the package itself loads none of them, and no torch.
"""

__version__ = "0.1.0"

MODULES = {
    "errors": "the one error for mistakes that the user can fix",
    "files": "write a file or folder whole or not at all; find data/",
    "device": "choose the device, the precision and the attention",
    "tables": "a table of settings becomes a dataclass, its types checked",
    "presets": "every setting and model id: read, check, change",
    "models": "load any model, or one part of it, from the preset's sources; tokenize prompts",
    "squares": "find, cut out, pad and paste the square that a model works on",
    "masks": "rectangle, ellipse, object-shaped, full; the training mixture; grow, feather, binary",
    "catalog": "items and contexts: photos and masks from disk",
    "segment": "ClipSeg: from a class noun to object masks",
    "matte": "which part of a painted square is the product?",
    "training.views": "what one training photo may look like: moved, scaled, on another background",
    "training.latents": "batches of latents, and the bank that encodes them once",
    "training.loss": "Eq. 2, its targets and its weights",
    "training.optim": "parameter groups and the optimizer; does 8-bit Adam work here?",
    "training.checkpoints": "the state of an unfinished run: saved, and resumed bit for bit",
    "runs": "a finished fine-tuning run: its modules and its record, saved and loaded",
    "finetune": "from an item to a run",
    "inpaint": "from a photo and a mask to the painted photo",
    "baselines": "the painters to compare with: title, description, Paint by Example, paste-in",
    "evaluation.metrics": "the paper's metrics: CLIP score, change outside the mask",
    "evaluation.retrieval": "is the item found again among catalogue and near-twins?",
    "evaluation.truth": "colour, structure, features and seam against the true picture",
    "evaluation.silhouette": "is the painted product whole, and does it keep its aspect?",
    "evaluation.pairs": "an item in a context: data/benchmark, a folder of your own, MureCom",
    "evaluation.rows": "rows.csv: one line for each measured picture",
    "evaluation.benchmark": "painters x pairs x seeds -> rows, resumable",
    "evaluation.statistics": "rows -> means with intervals, paired differences; CSV and Markdown",
    "plots": "every figure",
    "evaluation.report": "rows -> table 1, report and gallery",
    "widgets.canvas": "paint a mask with the mouse, a pen or a finger",
    "widgets.panels": "sliders and buttons for what the lessons tweak",
    "widgets.upload": "bring your own photos into a lesson",
    "course": "what the set-up cell of every lesson calls",
    "check": "is this machine ready?",
    "demo": "the whole job once, timed",
    "commands.common": "the commands' shared arguments and status line",
    "commands.demo": "the command `demo`",
    "commands.masks": "the command `masks`",
    "commands.finetune": "the command `finetune`",
    "commands.inpaint": "the command `inpaint`",
    "commands.evaluate": "the command `evaluate`",
    "commands.check": "the command `check`",
    "__main__": "the command line",
}
