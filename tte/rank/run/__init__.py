"""What a run works on and keeps: images, cells, agreements, pictures, and where it came from."""

__all__ = []
