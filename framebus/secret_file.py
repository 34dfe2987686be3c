"""Secrets that stand in a file, as container platforms mount them."""

from pathlib import Path


def read_secret(path: Path) -> str:
    """Reads a secret, without the line break at its end.

    Raises:
        ValueError: It cannot be read; the message names the file, unless that could be the secret itself.
    """
    try:
        content = path.read_text(encoding="utf-8").removesuffix("\n")
    except UnicodeDecodeError:
        raise ValueError(f"={path}: the file is no text in UTF-8") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        if path.is_absolute():
            raise ValueError(f"={path}: {why}") from None
        # What is no full path could be the secret itself, set under the wrong name.
        raise ValueError(f": {why}; write the full path of a file (what is set is not shown)") from None
    if not content:
        raise ValueError(f"={path}: the file is empty")
    return content
