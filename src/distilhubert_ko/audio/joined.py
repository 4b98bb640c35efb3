"""What libsndfile would read in part: MP3 of unknown length, and several MP3 or Ogg files joined into one.

The length of an MP3 is known by a tag in its first frame (Xing's, which LAME and FFmpeg write). Without it, every
length is an estimate.
"""

import os
import re
from typing import BinaryIO

from distilhubert_ko.errors import AudioError

_MP3 = re.compile(rb"ID3|\xff[\xe2-\xff]")  # the tag of an album, or a frame
_OGG = b"OggS"
_FIRST_PAGE = b"OggS\0\2"  # of a stream
# A frame's header, side information of zeros in one of three lengths, the name, a flag for frames and bytes, and both.
_TAG = re.compile(rb"\xff[\xe2-\xff]..(?:\0{9}|\0{17}|\0{32})(?:Xing|Info)\0{3}[\x03\x07\x0b\x0f].{4}(.{4})", re.DOTALL)
_FRAME = 64  # bytes of a first frame that the tag begins in
_SLACK = 0.02  # part of the bytes that may be missing: not every encoder counts the same
_READ = 1 << 20


def is_ogg(stream: BinaryIO) -> bool:
    """Tell whether a file is Ogg. Leave the stream at its beginning."""
    return _beginning(stream).startswith(_OGG)


def reason_read_in_part(stream: BinaryIO, name: str) -> str:
    """Return why libsndfile would read less than a file holds, "" if it would not. Leave the stream at its beginning.

    Raises AudioError for an MP3 that is shorter than its tag says.
    """
    head = _beginning(stream)
    if head in (b"RIFF", b"FORM"):
        stream.seek(4)
        size = int.from_bytes(stream.read(4), "little" if head == b"RIFF" else "big")
        stream.seek(8 + size)
        follows = stream.read(4)
        stream.seek(0)
        if follows == head:
            raise AudioError(
                f"{name} holds several files, one after the other, in {8 + size:,} bytes the first: split it"
            )
        return ""
    if head.startswith(_OGG):
        return "holds several Ogg streams: split it" if _streams(stream) > 1 else ""
    if not _MP3.match(head):
        return ""
    end, size = _tagged_end(stream)
    if end is None:
        return "is an MP3 that does not say how long it is: write it again"
    if size < end * (1 - _SLACK):
        raise AudioError(f"{name} is truncated ({size:,} of {end:,} bytes): copy it again from its source")
    stream.seek(end)
    follows = stream.read(3)
    stream.seek(0)
    return "holds several MP3 files: split it" if _MP3.match(follows) else ""


def _beginning(stream: BinaryIO) -> bytes:
    head = stream.read(4)
    stream.seek(0)
    return head


def _tagged_end(stream: BinaryIO) -> tuple[int | None, int]:
    """Return the byte at which the audio of an MP3 ends by its tag, None without one, and the size of the file."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    head = stream.read(10)
    skipped = 0
    if head.startswith(b"ID3") and len(head) == 10:  # its length in four times seven bits, without these ten bytes
        skipped = 10 + sum((byte & 0x7F) << 7 * place for place, byte in enumerate(reversed(head[6:])))
    stream.seek(skipped)
    found = _TAG.match(stream.read(_FRAME))
    stream.seek(0)
    return (skipped + int.from_bytes(found[1], "big") if found else None), size


def _streams(stream: BinaryIO) -> int:
    count, kept = 0, b""
    while piece := stream.read(_READ):
        count += (kept + piece).count(_FIRST_PAGE)
        kept = piece[1 - len(_FIRST_PAGE) :]
    stream.seek(0)
    return count
