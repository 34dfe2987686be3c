"""Parameters that many endpoints have."""

from typing import Annotated

from fastapi import Path

ModelName = Annotated[str, Path(description="name or uuid of a model", examples=["pedestrian"])]
