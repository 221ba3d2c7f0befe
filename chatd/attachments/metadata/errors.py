"""The errors of looking into a file. Their texts are for tests, and have nothing of the content."""


class Damaged(Exception):
    """The file isn't built as its format says."""


class TooManyPixels(Exception):
    """The header announces a picture that nobody decodes here."""
