"""How we prove to an SSH server who we are: a private key, a password, or both, each a secret by reference."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import paramiko

from sync.connections import ConfigError, Connection


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the server may be shown; its repr holds no secret."""

    user: str
    key: paramiko.PKey | None = field(repr=False)
    password: str | None = field(repr=False)


def credentials_of(connection: Connection, user: str) -> Credentials:
    """The credentials that the connection's secrets name, read from where they lie now. Raises ConfigError without a usable one."""
    key, password = None, None
    if "private_key" in connection.secrets:
        passphrase = connection.secret("passphrase").get_secret_value() if "passphrase" in connection.secrets else None
        key = _private_key(connection.secret("private_key").get_secret_value(), passphrase, connection)
    if "password" in connection.secrets:
        password = connection.secret("password").get_secret_value()
    if key is None and password is None:
        raise ConfigError(
            f"connection {connection.name} names no secret for {user}: add private_key or password under [connection.secrets]"
        )
    return Credentials(user, key, password)


def _private_key(text: str, passphrase: str | None, connection: Connection) -> paramiko.PKey:
    """The key in OpenSSH's or PEM's form: Ed25519, ECDSA or RSA."""
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key(io.StringIO(text.strip() + "\n"), password=passphrase)
        except paramiko.PasswordRequiredException as error:
            raise ConfigError(
                f"connection {connection.name}: the private key is locked: name its passphrase as secret `passphrase`"
            ) from error
        except (paramiko.SSHException, ValueError, TypeError, IndexError):
            continue
    wrong = "its passphrase does not open it, or it" if passphrase else "it"
    raise ConfigError(f"connection {connection.name}: the private key can't be used: {wrong} is no Ed25519, ECDSA or RSA key")
