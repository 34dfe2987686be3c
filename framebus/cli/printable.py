"""What others have published, on a terminal."""


def printable(text: str) -> str:
    r"""A camera's id as it can be shown: `\x1b` and the like, which a terminal would obey, are spelt out."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
