"""The live Desk: answers a page's questions from the database, as the person at the desk may see it.

Every read runs in its own transaction under the person's scope, so that the database itself hides other regions' rows.
"""

from app.live.desk import LiveDesk

__all__ = ["LiveDesk"]
