"""Bank statements that are dropped into folders, here or on an SFTP server: camt.052, 053 and 054, MT940, MT942, BAI2."""

from sync.connections import Connection, Landscape
from sync.systems.bank_files.client import BankFiles


def make_source(connection: Connection, landscape: Landscape) -> BankFiles:
    """The source of `connection`; ConfigError when its options are wrong."""
    return BankFiles(connection, landscape)


def make_target(_connection: Connection, _landscape: Landscape) -> None:
    """Bank files are read only."""
    return
