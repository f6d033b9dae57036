"""The one exception for what a person can mend."""


class InputError(ValueError):
    """A mistake in what was given: a file, a folder, a number.

    The message is one sentence: what was found where, what is accepted, and the way out.
    """
