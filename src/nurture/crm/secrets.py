"""NURTURE_CRM_* variables: what we prove ourselves with to a CRM; read at the doors only."""

from __future__ import annotations

import os

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from nurture.errors import SettingsError
from nurture.program.crm import Crm


class CrmSecrets(BaseSettings):
    """A token that does not run out (HubSpot), or what a token is asked for with (both)."""

    model_config = SettingsConfigDict(env_prefix="NURTURE_CRM_", extra="ignore")

    #: Of a private app of HubSpot.
    token: SecretStr | None = None
    #: Of an app that asks for its tokens (OAuth 2.0).
    client_id: SecretStr | None = None
    client_secret: SecretStr | None = None
    #: Unset: by client credentials (RFC 6749 section 4.4), which Salesforce knows and HubSpot does not.
    refresh_token: SecretStr | None = None

    def require(self, crm: Crm) -> None:
        """Raise SettingsError where something is missing, naming the variables."""
        named = {
            "hubspot": "set NURTURE_CRM_TOKEN, or NURTURE_CRM_CLIENT_ID, …_CLIENT_SECRET and …_REFRESH_TOKEN",
            "salesforce": "set NURTURE_CRM_CLIENT_ID and NURTURE_CRM_CLIENT_SECRET",
        }
        asked = [self.client_id, self.client_secret, *([self.refresh_token] if crm.kind == "hubspot" else [])]
        if crm.kind == "webhook" or (self.token is not None and crm.kind == "hubspot") or None not in asked:
            return
        raise SettingsError(f"'crm:' of program.yaml is {crm.kind}, and we have nothing to prove ourselves; "
                            f"{named[crm.kind]}")  # fmt: skip


def load_secrets() -> CrmSecrets:
    """Those of this process; NURTURE_SECRETS is a folder whose files may hold them."""
    folder = os.environ.get("NURTURE_SECRETS")
    return CrmSecrets(_secrets_dir=folder or None)
