"""The one thing to play with on the landing page: a form on recorded numbers."""

from companion.pages.play.form import recorded, widget

__all__ = ["recorded", "widget"]
