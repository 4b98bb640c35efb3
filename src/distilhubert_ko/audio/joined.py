"""What would be read in part: MP3 of unknown length, and several files joined into one.

The length of an MP3 is known by a tag in its first frame (Xing's, which LAME and FFmpeg write). Without it, every
length is an estimate.
"""

import os
import re
from typing import BinaryIO

from distilhubert_ko.errors import AudioError

_MP3 = re.compile(rb"ID3|\xff[\xe2-\xff]")  # the tag of an album, or a frame
_OGG = b"OggS"
_FLAC = re.compile(rb"fLaC[\0\x80]\0\0\x22")  # and the head of its first block, which has 34 bytes
_FIRST_PAGE = re.compile(rb"OggS\x00\x02")  # of a stream
_HEADS = {  # of files that say nowhere near their beginning how long they are: first 4 bytes, and all that is fixed
    b"\x30\x26\xb2\x75": re.compile(re.escape(bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c"))),  # ASF: WMA, WMV
    b"FLV\x01": re.compile(rb"FLV\x01[\x01\x04\x05]\0\0\0\x09\0\0\0\0"),
    b"caff": re.compile(rb"caff\0\x01\0\0desc"),
}
# A frame's header, side information of zeros in one of three lengths, the name, a flag for frames and bytes, and both.
_TAG = re.compile(rb"\xff[\xe2-\xff]..(?:\0{9}|\0{17}|\0{32})(?:Xing|Info)\0{3}[\x03\x07\x0b\x0f].{4}(.{4})", re.DOTALL)
_HEAD = 28  # bytes that tell the format of a file and its size
_FRAME = 64  # bytes of a first frame that the tag begins in
_SLACK = 0.02  # part of the bytes that may be missing: not every encoder counts the same
_READ = 1 << 20
_BOXES = 200_000  # parts of an MP4 that are looked at: in fragments of a second, those of a day


def is_ogg(stream: BinaryIO) -> bool:
    """Tell whether a file is Ogg. Leave the stream at its beginning."""
    return _beginning(stream).startswith(_OGG)


def reason_read_in_part(stream: BinaryIO, name: str, to_the_end: bool) -> str:
    """Return why libsndfile would read less than a file holds, "" if it would not. Leave the stream at its beginning.

    Only the content tells of joined FLAC. So it is looked through if the file is to be read `to_the_end`.

    Raises AudioError for an MP3 that is shorter than its tag says, and for joined files of which nothing reads the
    second.
    """
    head = _beginning(stream)
    if second := _second_file(stream):
        raise AudioError(f"{name} holds several files, one after the other, in {second:,} bytes the first: split it")
    if to_the_end and head in _HEADS and _count(stream, _HEADS[head]) > 1:
        raise AudioError(f"{name} holds several files, one after the other: split it")
    if to_the_end and head == b"fLaC":
        return "holds several FLAC files: split it" if _count(stream, _FLAC) > 1 else ""
    if head.startswith(_OGG):
        return "holds several Ogg streams: split it" if _count(stream, _FIRST_PAGE) > 1 else ""
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


def _second_file(stream: BinaryIO) -> int:
    """Return the byte at which a second file begins, by the header of the first; 0 without one."""
    head = stream.read(_HEAD)
    match head[:4]:
        case b"RIFF":
            end = 8 + int.from_bytes(head[4:8], "little")
        case b"FORM":
            end = 8 + int.from_bytes(head[4:8], "big")
        case b"RF64":  # after its type comes the chunk ds64
            end = 8 + int.from_bytes(head[20:28], "little")
        case b"riff":  # W64
            end = int.from_bytes(head[16:24], "little")
        case b".snd":  # AU
            end = int.from_bytes(head[4:8], "big") + int.from_bytes(head[8:12], "big")
        case _:
            end = _second_mp4(stream) if head[4:8] == b"ftyp" else 0
            stream.seek(0)
            return end
    stream.seek(min(end, stream.seek(0, os.SEEK_END)))
    follows = stream.read(4)
    stream.seek(0)
    return end if follows == head[:4] else 0


def _second_mp4(stream: BinaryIO) -> int:
    """Return the byte at which a second MP4 begins, 0 without one."""
    size, place = stream.seek(0, os.SEEK_END), 0
    for _ in range(_BOXES):
        if place + 8 > size:
            break
        stream.seek(place)
        head = stream.read(16)
        if head[4:8] == b"ftyp" and place:
            return place
        length = int.from_bytes(head[:4], "big")
        length = int.from_bytes(head[8:16], "big") if length == 1 else length
        if length < 8:  # 0: to the end
            break
        place += length
    return 0


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


def _count(stream: BinaryIO, mark: re.Pattern[bytes]) -> int:
    """Return how often a mark of at most `_HEAD` bytes stands in a stream."""
    count, kept = 0, b""
    while piece := stream.read(_READ):
        part = kept + piece
        places = [found.end() for found in mark.finditer(part)]
        count += len(places)
        kept = part[max([len(part) - _HEAD + 1, *places[-1:]]) :]
    stream.seek(0)
    return count
