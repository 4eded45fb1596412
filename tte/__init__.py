"""Pick the best pre-trained segmentation model for your images, with labels (CC-FV) or without (CTE).

The public names, each imported when it is first used; `__init__.pyi` says where each comes from.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
