"""`/`: the dashboard, static files that use the API as any client does; open to everybody."""

from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_DIRECTORY = Path(__file__).parent.parent / "dashboard"
_HEADERS = {
    # Pictures of cameras are made in the page.
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Asked for again, and answered 304 while they have not changed.
    "Cache-Control": "no-cache",
}


class _Files(StaticFiles):
    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers.update(_HEADERS)
        return response


def add_dashboard(app: FastAPI) -> None:
    """Serves the page at `/`, and its files beside it."""

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(_DIRECTORY / "index.html", headers=_HEADERS)

    app.mount("/dashboard", _Files(directory=_DIRECTORY))
