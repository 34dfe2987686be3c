"""Who may do what: tokens, and the cookie that a browser gets for one."""

import base64
import hashlib
import hmac
import time
from collections.abc import Callable
from enum import IntEnum
from typing import Annotated

from fastapi import Security
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.requests import Request

from control_api.problems import ScopeError, TokenError
from framebus.errors import SettingsError
from framebus.settings import ApiSettings

COOKIE = "framebus_session"
SESSION_S = 12 * 60 * 60

_NEEDS_TOKEN = "this needs a token: send it as `Authorization: Bearer <token>`, or log in"
_WRONG_TOKEN = "the token is neither the read nor the admin token"


class Scope(IntEnum):
    """What a client may do; who may more may less too."""

    NOTHING = 0
    READ = 1
    ADMIN = 2


class Access:
    """Tells what a request may do.

    Without any token everybody may do everything; with an admin token alone, everybody may read.

    Args:
        settings: The tokens.
        clock: Seconds since 1970, for how long a cookie is good.

    Raises:
        SettingsError: There is a read token and no admin token, so that everybody could change models.
    """

    def __init__(self, settings: ApiSettings, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        tokens = {Scope.ADMIN: settings.admin_token, Scope.READ: settings.read_token}
        # The admin token first: where both are the same, it allows more.
        self._tokens = {scope: token.get_secret_value() for scope, token in tokens.items() if token}
        if set(self._tokens) == {Scope.READ}:
            raise SettingsError(
                "FRAMEBUS_API__READ_TOKEN is set and FRAMEBUS_API__ADMIN_TOKEN is not; set both, or anybody "
                "could load and unload models"
            )
        # The same on every replica, and another one as soon as a token changes.
        material = "\n".join(["framebus session", *self._tokens.values()])
        self._key = hashlib.sha256(material.encode()).digest()

    @property
    def is_open(self) -> bool:
        """Whether no token is set."""
        return not self._tokens

    @property
    def of_all(self) -> Scope:
        """What everybody may do."""
        if not self._tokens:
            return Scope.ADMIN
        return Scope.NOTHING if Scope.READ in self._tokens else Scope.READ

    def of_request(self, request: Request) -> Scope:
        """What a request may do.

        Raises:
            TokenError: It shows a wrong token.
        """
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if self._tokens and kind.lower() == "bearer":
            return self.of_token(token.strip())
        return max(self.of_all, self.of_cookie(request.cookies.get(COOKIE, "")))

    def of_token(self, token: str) -> Scope:
        """What a token allows.

        Raises:
            TokenError: It is none of those that are set.
        """
        allowed = [
            scope
            for scope, known in self._tokens.items()
            if hmac.compare_digest(token.encode(), known.encode())
        ]
        if not allowed and self._tokens:
            raise TokenError(_WRONG_TOKEN)
        return max(allowed, default=self.of_all)

    def cookie(self, scope: Scope) -> str:
        """The value of a cookie that allows as much, for a time; no replica has to remember it."""
        return self._signed(f"{scope.value}.{int(self._clock()) + SESSION_S}")

    def require(self, request: Request, needed: Scope) -> Scope:
        """Returns what a request may do, if that is enough.

        Raises:
            TokenError: It shows no token, or a wrong one.
            ScopeError: Its token does not allow it.
        """
        scope = self.of_request(request)
        if scope >= needed:
            return scope
        if scope > self.of_all:
            raise ScopeError("this needs the admin token")
        raise TokenError(_NEEDS_TOKEN)

    def of_cookie(self, cookie: str) -> Scope:
        """What a cookie allows: nothing, if it is not one of ours or is past its time."""
        content, _, _ = cookie.rpartition(".")
        if not content or not hmac.compare_digest(self._signed(content).encode(), cookie.encode()):
            return Scope.NOTHING
        scope, good_until = content.split(".")
        return Scope(int(scope)) if self._clock() < int(good_until) else Scope.NOTHING

    def _signed(self, content: str) -> str:
        signature = hmac.digest(self._key, content.encode(), "sha256")
        return f"{content}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


class _Needs(SecurityBase):
    """Lets a request through that may do enough, and tells OpenAPI of it."""

    def __init__(self, scope: Scope, scheme_name: str) -> None:
        self._scope = scope
        self.scheme_name = scheme_name
        self.model = HTTPBearer()

    async def __call__(self, request: Request) -> Scope:
        access: Access = request.app.state.plane.access
        return access.require(request, self._scope)


READ_SCHEME, ADMIN_SCHEME = "read", "admin"
Read = Annotated[Scope, Security(_Needs(Scope.READ, READ_SCHEME))]
Admin = Annotated[Scope, Security(_Needs(Scope.ADMIN, ADMIN_SCHEME))]
