"""Data files of the project, beside the packages in a checkout and inside this one in a wheel; the cache."""

from pathlib import Path

import platformdirs

from framebus.settings import Settings

_PACKAGE = Path(__file__).parent


def resource(name: str) -> Path:
    """Finds a data file by its path in the repository, e.g. `infra/kafka/pom.xml`."""
    packaged = _PACKAGE / "resources" / name
    return packaged if packaged.exists() else _PACKAGE.parent / name


def cache_directory(settings: Settings) -> Path:
    """Where downloads are kept: `FRAMEBUS_CACHE_DIR`, by default the user's cache directory."""
    return settings.cache_dir or Path(platformdirs.user_cache_dir("framebus"))
