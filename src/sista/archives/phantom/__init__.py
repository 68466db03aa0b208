"""The procedural archive: chest films and reports made by rule, so that findings, masks, boxes, phrases and change are known exactly."""

from sista.archives.phantom.study import Phantom

__all__ = ["Phantom"]
