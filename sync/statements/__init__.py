"""Bank statements in canonical words: pure, whatever brought the bytes, and whatever format they are in, which is told by their content."""

from sync.statements.facts import Owners, mapped
from sync.statements.follow import followed

__all__ = ["Owners", "followed", "mapped"]
