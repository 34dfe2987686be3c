"""`/docs`: the page to read about the API and to try it; every file of it is served from here."""

from importlib import resources

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import Response

_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon-32x32.png": "image/png",
}

router = APIRouter(prefix="/docs", include_in_schema=False)


@router.get("")
def page() -> Response:
    """The page. Its links are relative, so that it works behind a proxy's prefix too."""
    return get_swagger_ui_html(
        openapi_url="openapi.json",
        title="framebus",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="docs/favicon-32x32.png",
        swagger_ui_parameters={"displayRequestDuration": True, "validatorUrl": None},
    )


def _serve(name: str, media_type: str) -> None:
    @router.get(f"/{name}")
    def file() -> Response:
        content = resources.files("fastapi_swagger.resources").joinpath(name).read_bytes()
        return Response(content, media_type=media_type, headers={"Cache-Control": "max-age=3600"})


for _name, _media_type in _FILES.items():
    _serve(_name, _media_type)
