"""The one error for mistakes that the user can fix."""


class InputError(ValueError):
    """Raised for mistakes that the user can fix, such as a wrong file, folder or number.

    The message is one sentence. It says where the mistake is, what was found, what is accepted, and what to
    do next.
    """
