"""The names of the one language that is recognised."""

import re

KOREAN = ("ko", "kor", "korean")


def is_korean(language: str) -> bool:
    """Return whether this is a name of Korean. A region or a script may follow, as in ko-KR or ko_Hang."""
    return re.split("[-_]", language.strip().lower())[0] in KOREAN
