"""Who signs in how: the provider's settings, the local personas, and what a group gives. Knows no Streamlit and no database."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sync.connections import Grant, Landscape, SignIn, read_secret

PERSONAS: dict[str, dict[str, Any]] = {
    "leader": {"name": "Lena Leitner (leader)", "email": "leader@tidegate.example", "groups": ["tidegate-leaders"]},
    "analyst": {"name": "Amir Analyst (analyst)", "email": "analyst@tidegate.example", "groups": ["tidegate-analysts"]},
    "analyst-emea": {
        "name": "Elif Emea (analyst, EMEA only)",
        "email": "analyst-emea@tidegate.example",
        "groups": ["tidegate-analysts-emea"],
    },
    "operator": {"name": "Oskar Operator (operator)", "email": "operator@tidegate.example", "groups": ["tidegate-operators"]},
    "admin": {"name": "Ada Admin (admin)", "email": "admin@tidegate.example", "groups": ["tidegate-admins"]},
    "auditor": {"name": "Aud Auditor (auditor)", "email": "auditor@tidegate.example", "groups": ["tidegate-auditors"]},
}
"""The named personas of one machine: subject -> claims. Anyone on this machine may be any of them: never a production sign-in."""

LOCAL_GRANTS = (
    Grant(group="tidegate-leaders", roles=("leader",)),
    Grant(group="tidegate-analysts", roles=("analyst",)),
    Grant(group="tidegate-analysts-emea", roles=("analyst",), regions=("EMEA",)),
    Grant(group="tidegate-operators", roles=("operator",)),
    Grant(group="tidegate-admins", roles=("admin",)),
    Grant(group="tidegate-auditors", roles=("auditor",)),
)


@dataclass(frozen=True, slots=True)
class Granted:
    """What a person has: roles, and regions (`('*',)`: all of them; empty: none)."""

    roles: tuple[str, ...]
    regions: tuple[str, ...]


def granted(groups: Iterable[str], grants: Iterable[Grant]) -> Granted:
    """The roles and regions that membership of `groups` gives; a group nobody granted gives nothing."""
    mine = set(groups)
    matching = [grant for grant in grants if grant.group in mine]
    roles = sorted({role for grant in matching for role in grant.roles})
    regions = sorted({region for grant in matching for region in grant.regions})
    return Granted(tuple(roles), ("*",) if "*" in regions else tuple(regions))


def grants_of(landscape: Landscape) -> tuple[Grant, ...]:
    """The grants in force: those of the connections file, or the personas' where no provider is configured."""
    return landscape.sign_in.grants if landscape.sign_in else LOCAL_GRANTS


def local_provider(issuer: str, redirect_url: str) -> SignIn:
    """The settings that sign in at the personas' provider at `issuer`; its client secret is not one."""
    return SignIn(
        metadata_url=f"{issuer}/.well-known/openid-configuration",
        client_id="tidegate",
        client_secret="file:unused",
        redirect_url=redirect_url,
        grants=LOCAL_GRANTS,
    )


def streamlit_secrets(settings: SignIn, *, cookie_secret: str, local: bool) -> Mapping[str, Any]:
    """The `auth` section that `st.login` reads, made in memory so that no secrets file lies about."""
    client_secret = "local" if local else read_secret(settings.client_secret).get_secret_value()
    return {
        "auth": {
            "redirect_uri": settings.redirect_url,
            "cookie_secret": cookie_secret,
            "client_id": settings.client_id,
            "client_secret": client_secret,
            "server_metadata_url": settings.metadata_url,
            "client_kwargs": {"scope": settings.scope},
        }
    }


def cookie_secret(home: Path) -> str:
    """The secret that signs the identity cookie: made once, kept in `home` for the owner's eyes only, so that sign-ins outlive restarts."""
    place = home / "cookie.secret"
    if not place.exists():
        place.touch(mode=0o600)
        place.write_text(secrets.token_urlsafe(48), encoding="utf-8")
    return place.read_text(encoding="utf-8")
