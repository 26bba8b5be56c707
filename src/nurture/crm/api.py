"""Calls to a CRM's API: JSON, a bearer token that is renewed when it is refused, and what an answer means."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from nurture.channels.outbound import LATER, UNANSWERED, Answer, Outbound
from nurture.crm.base import Unwell
from nurture.crm.secrets import CrmSecrets

#: Seconds for one call.
TIMEOUT = 10.0
#: 409 is said of one record, which has an address or a key that another has.
_LATER = LATER - {409}


@dataclass(frozen=True)
class Reply:
    """An answer that is no fault of the whole: `said` is its JSON, None where it is none."""

    status: int
    said: Any
    headers: Mapping[str, str]


class Api:
    """The API at `address`. `tokens`: the path at which tokens are asked for; `named`: what the CRM is called.

    `pardon`: the seconds for which an answer asks to be left alone, if it is one that does.
    """

    def __init__(
        self, named: str, address: str, secrets: CrmSecrets, tokens: str, private: Collection[str] = (),
        *, pardon: Callable[[Answer, Any], float | None],
    ) -> None:  # fmt: skip
        self.named, self._address, self._secrets, self._path = named, address, secrets, tokens
        self._out = Outbound([address], private, timeout=TIMEOUT)
        self._pardon = pardon
        self._bearer = secrets.token.get_secret_value().strip() if secrets.token else None

    def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """One call, and a second with a new token where the first was refused for its token.

        Raises Unwell for silence, for our token, and where the CRM wants to be left alone.
        """
        reply = self._asked(method, path, body, headers or {})
        if reply.status == 401 and self._secrets.client_id is not None:
            self._bearer = None
            reply = self._asked(method, path, body, headers or {})
        if reply.status == 401:
            raise Unwell(f"{self.named} refuses our token (401); give another by NURTURE_CRM_TOKEN or its siblings")
        return reply

    def close(self) -> None:
        """Hang up."""
        self._out.close()

    def _asked(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> Reply:
        if self._bearer is None:
            self._bearer = self._token()
        sent = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        more = {"content-type": "application/json"} if sent else {}
        auth = {"authorization": f"Bearer {self._bearer}", "accept": "application/json"}
        return self._called(method, path, sent, {**more, **auth, **headers})

    def _called(self, method: str, path: str, sent: bytes, headers: Mapping[str, str]) -> Reply:
        try:
            answer = self._out.call(method, self._address + path, sent, headers)
        except UNANSWERED as problem:
            raise Unwell(f"{self.named} does not answer ({type(problem).__name__})") from None
        said = _json(answer.body)
        wait = self._pardon(answer, said)
        if answer.status >= 500 or answer.status in _LATER or wait is not None:
            raise Unwell(f"{self.named} wants to be left alone ({answer.status})", answer.wait or wait)
        return Reply(answer.status, said, answer.headers)

    def _token(self) -> str:
        """A new token (RFC 6749 sections 4.4 and 6)."""
        secret = self._secrets
        if secret.client_id is None or secret.client_secret is None:
            raise Unwell(
                f"{self.named}: there is no token; set NURTURE_CRM_TOKEN, or NURTURE_CRM_CLIENT_ID and …_SECRET"
            )
        form = {
            "client_id": secret.client_id.get_secret_value(),
            "client_secret": secret.client_secret.get_secret_value(),
        }
        if secret.refresh_token is None:
            form["grant_type"] = "client_credentials"
        else:
            form |= {"grant_type": "refresh_token", "refresh_token": secret.refresh_token.get_secret_value()}
        typed = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        reply = self._called("POST", self._path, urlencode(form).encode(), typed)
        token = reply.said.get("access_token") if isinstance(reply.said, dict) else None
        if reply.status != 200 or not isinstance(token, str):
            raise Unwell(
                f"{self.named} gives us no token ({reply.status}); look at NURTURE_CRM_CLIENT_ID and its siblings"
            )
        return token


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None
