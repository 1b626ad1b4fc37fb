"""What a group of the identity provider gives."""

from __future__ import annotations

from pathlib import Path

from app.sign_in import LOCAL_GRANTS, PERSONAS, cookie_secret, granted
from sync.connections import Grant


def test_roles_add_up_over_groups() -> None:
    """Somebody in two groups has the roles and regions of both."""
    grants = [Grant(group="a", roles=("analyst",), regions=("EMEA",)), Grant(group="b", roles=("operator",), regions=("NA",))]
    found = granted(["a", "b", "unheard-of"], grants)
    assert (found.roles, found.regions) == (("analyst", "operator"), ("EMEA", "NA"))


def test_all_regions_swallow_the_named_ones() -> None:
    """A grant for all regions leaves nothing to name."""
    grants = [Grant(group="a", roles=("analyst",), regions=("EMEA",)), Grant(group="b", roles=("leader",))]
    assert granted(["a", "b"], grants).regions == ("*",)


def test_an_unknown_group_gives_nothing() -> None:
    """Who has no granted group has no role and no region."""
    found = granted(["somebody-else"], LOCAL_GRANTS)
    assert (found.roles, found.regions) == ((), ())


def test_every_persona_has_a_role_and_one_is_limited_to_a_region() -> None:
    """The local personas cover all roles, one of them for one region only."""
    scopes = {name: granted(claims["groups"], LOCAL_GRANTS) for name, claims in PERSONAS.items()}
    assert {role for scope in scopes.values() for role in scope.roles} == {"leader", "analyst", "operator", "admin", "auditor"}
    assert scopes["analyst-emea"].regions == ("EMEA",)


def test_the_cookie_secret_is_made_once_and_kept_private(tmp_path: Path) -> None:
    """Sign-ins outlive a restart, and nobody else can read what signs them."""
    first = cookie_secret(tmp_path)
    assert cookie_secret(tmp_path) == first
    assert len(first) > 40
    assert (tmp_path / "cookie.secret").stat().st_mode & 0o077 == 0
