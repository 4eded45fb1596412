"""A package as if it were not installed."""

import builtins

__all__ = ["hide_package"]


def hide_package(monkeypatch, package):
    """Let every import of a package, and of what lies in it, fail until the test ends."""
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
