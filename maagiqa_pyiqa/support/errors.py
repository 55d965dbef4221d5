"""What is the user's to mend, told apart from a fault of this package.

The command line shows a UserError in one line; any other error that is not the system's is shown with its traceback.
Each class is also the built-in error that Python has for the case.
"""

from __future__ import annotations


class UserError(Exception):
    """Something given is not usable; the message says what, what was expected and what to do."""


class InputError(UserError, ValueError):
    """A value, an option or a file's content that is not what it has to be."""


class InputTypeError(UserError, TypeError):
    """A value of a type that is not taken."""
