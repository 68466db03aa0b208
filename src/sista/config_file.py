"""--config, given once or more often: a later file adds to what an earlier one says, setting by setting."""

from __future__ import annotations

from typing import Any

from jsonargparse import ActionConfigFile, ArgumentError

from sista.errors import SistaError

_TEXT = '"<unicode string>"'  # what a YAML reader that was handed a text calls it


class ConfigFile(ActionConfigFile):
    """A YAML file of options.

    Of two files the later one wins where both name a key. The parser does so for the fields of a data class and replaces a mapping such as
    `settings` whole; here its keys, too, are taken one by one.
    """

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        earlier = {key: value for key, value in cfg.items() if isinstance(value, dict)}
        try:
            super().__call__(parser, cfg, values, option_string)
        except (ArgumentError, TypeError) as error:
            if _TEXT not in (message := " ".join(str(error).split())):
                raise
            message = message.removeprefix("Problems parsing config: ").replace(f" in {_TEXT},", ",")
            raise SistaError(f"{values}: {message}") from error
        for key, value in earlier.items():
            if isinstance(later := cfg[key], dict):
                cfg[key] = {**value, **later}
