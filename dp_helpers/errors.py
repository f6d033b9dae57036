"""The one error for mistakes that the user can fix, and notes on what was done with their input."""

from __future__ import annotations

import sys
import warnings

REJECTED = (
    "The safety checker rejected the picture of seed {seed}, so nothing was painted: try another seed or prompt, or "
    "set safety_checker = false in a preset file of your own."
)


class InputError(ValueError):
    """Raised for mistakes that the user can fix, such as a wrong file, folder or number.

    The message is one sentence. It says where the mistake is, what was found, what is accepted, and what to
    do next.
    """


class Rejected(InputError):
    """Raised when the pipeline's safety checker rejects a painting, which it returns as a black picture."""


class Note(UserWarning):
    """A warning that tells the user in one sentence what was done with their input, for example what was left out."""


def note(sentence: str) -> None:
    """Tell the user something as a `Note`."""
    warnings.warn(sentence, Note, stacklevel=3)


def shorten(text: str, most: int = 100) -> str:
    """Return a text for a sentence: its middle is left out if it is long."""
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 3 :]}"


def show_notes(*, once: bool = False) -> None:
    """Show every `Note` from now on as one plain line on stderr, without file and line number.

    Args:
        once: do not repeat a line, as a command paints many pictures with one prompt.
    """
    warnings.simplefilter("always", Note)
    show, said = warnings.showwarning, set()

    def show_plainly(message, category, filename, lineno, file=None, line=None) -> None:
        if issubclass(category, Note):
            if not (once and str(message) in said):
                print(f"dp_helpers: {message}", file=file or sys.stderr, flush=True)
            said.add(str(message))
        else:
            show(message, category, filename, lineno, file, line)

    warnings.showwarning = show_plainly
