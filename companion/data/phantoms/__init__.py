"""Phantoms: generated datasets in the official layouts, for where real data is not at hand.

Reads the settings of the catalogue; writes the folder of one dataset below a data root.
"""

from companion.data.phantoms.write import write_phantom

__all__ = ["write_phantom"]
