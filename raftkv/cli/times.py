"""Times as words of the command line."""

from raftkv.errors import ConfigError

UNITS = {"s": 1, "m": 60, "h": 3600}


def parse_seconds(text: str, option: str = "--time", *, none_too: bool = False) -> float:
    """Return the seconds in ``60s``, ``5m``, ``1h`` or ``60``; ``none_too``: 0 is a time as well."""
    number, unit = (text[:-1], UNITS[text[-1]]) if text[-1:] in UNITS else (text, 1)
    try:
        seconds = float(number) * unit
    except ValueError:
        seconds = -1.0
    if not (0 < seconds < 1e9 or (none_too and seconds == 0)):
        raise ConfigError(f"{option} {text}: use a time as 60s, 5m or 1h")
    return seconds
