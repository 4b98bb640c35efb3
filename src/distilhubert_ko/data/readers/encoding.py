"""The encodings that Korean lists are saved in: UTF-8, Excel's UTF-16, and CP949 of Korean Windows."""

import codecs

HANGUL = ("가", "힣")
SHARE = 0.8
"""Of the characters beyond ASCII in CP949, so many must be syllables in everyday use; in other bytes they are not."""


def decoded(content: bytes) -> str:
    """Return the text of a file, with lines that end in \\n. Raises UnicodeError where the encoding is not sure."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        text = content.decode("utf-16")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = _cp949(content)
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _cp949(content: bytes) -> str:
    text = content.decode("cp949")
    beyond = [character for character in text if not character.isascii()]
    everyday = [each for each in beyond if HANGUL[0] <= each <= HANGUL[1] and each.encode("euc_kr", "ignore")]
    if len(everyday) < SHARE * len(beyond):
        raise UnicodeError("bytes that are hardly Korean in CP949")
    return text
