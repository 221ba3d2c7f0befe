"""Places in videos are blanked where they lie."""

from pathlib import Path

import pytest

from chatd.attachments.metadata.errors import Damaged
from chatd.attachments.metadata.movie import clean
from support import pictures
from support.pictures import CANARY, PIXELS, box, movie


def cleaned(tmp_path: Path, data: bytes) -> tuple[bytes, tuple[int, int] | None]:
    path = tmp_path / "movie"
    path.write_bytes(data)
    shown = clean(path)
    return path.read_bytes(), shown


@pytest.mark.parametrize("brand", [b"qt  ", b"mp42", b"isom", b"M4A "])
def test_movie_loses_its_place_and_no_offset_moves(tmp_path: Path, brand: bytes) -> None:
    source = movie(brand)
    assert source.count(CANARY) > 10
    data, shown = cleaned(tmp_path, source)
    assert CANARY not in data
    assert b"xyz" not in data
    assert len(data) == len(source)
    assert shown == (1920, 1080)
    at = source.index(PIXELS[0])
    assert data[at : at + 19] == b"".join(PIXELS)
    # Wherever the two differ, a box was made `free` or bytes were made zero.
    assert all(b == 0 or chr(b) in "free" for a, b in zip(source, data, strict=True) if a != b)
    assert cleaned(tmp_path, data) == (data, shown), "a clean file stays as it is"


def test_movie_held_upright_is_measured_as_shown(tmp_path: Path) -> None:
    assert cleaned(tmp_path, movie(matrix=pictures.QUARTER))[1] == (1080, 1920)


def test_movie_of_sound_alone_has_no_size(tmp_path: Path) -> None:
    data, shown = cleaned(tmp_path, movie(b"M4A ", handler=b"soun"))
    assert shown is None
    assert CANARY not in data


def test_movie_with_large_and_open_sizes_is_read(tmp_path: Path) -> None:
    source = movie()
    large = b"\0\0\0\x01free" + (16 + len(CANARY)).to_bytes(8) + CANARY
    open_ended = b"\0\0\0\0mdat" + PIXELS[0]
    data, _ = cleaned(tmp_path, source + large + open_ended)
    assert CANARY not in data
    assert data.endswith(open_ended)


def test_movie_in_fragments_loses_what_is_beside_them(tmp_path: Path) -> None:
    start = box(b"ftyp", b"iso5", bytes(4), b"iso5")
    video = pictures.track(b"vide", 0, [], (640, 480))
    moov = box(b"moov", pictures.full(b"mvhd", bytes(96)), video, box(b"mvex"))
    fragment = box(b"moof", pictures.full(b"mfhd", bytes(4)), box(b"traf", box(b"udta", CANARY)), box(b"meta", CANARY))
    data, shown = cleaned(tmp_path, start + moov + fragment + box(b"mdat", b"pixels") + box(b"emsg", CANARY))
    assert CANARY not in data
    assert b"pixels" in data
    assert shown == (640, 480)


BROKEN = {
    "empty": b"",
    "head only": movie()[:30],
    "cut half way": movie()[: len(movie()) // 2],
    "cut in its last box": movie()[:-1],
    "junk at its end": movie(tail=b"PK\3\4junk"),
    "a box that is too short": movie(tail=b"\0\0\0\x04free"),
    "a box beyond the end": movie(tail=b"\x7f\0\0\0free"),
    "no table of contents": box(b"ftyp", b"isom", bytes(4)) + box(b"mdat", b"x"),
    "two tables of contents": movie() + movie()[movie().index(b"moov") - 4 : movie().index(b"uuid") - 4],
    "no media": box(b"ftyp", b"isom", bytes(4)) + box(b"moov", pictures.full(b"mvhd", bytes(96))),
    "places only": movie(handler=b"meta"),
    "ten thousand boxes": box(b"ftyp", b"isom", bytes(4)) + box(b"free") * 100_001,
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_movie_that_cannot_be_parsed_is_damaged(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(Damaged):
        cleaned(tmp_path, data)


def test_movie_whose_places_lie_outside_its_data_is_damaged(tmp_path: Path) -> None:
    source = movie()
    offset = (source.index(PIXELS[0]) + 19).to_bytes(4)
    assert source.count(offset) == 1
    with pytest.raises(Damaged, match="outside"):
        cleaned(tmp_path, source.replace(offset, (4).to_bytes(4)))


def test_movie_with_any_byte_changed_keeps_its_length_or_is_damaged(tmp_path: Path) -> None:
    source = movie()
    for at in range(len(source)):
        changed = bytearray(source)
        changed[at] ^= 0xFF
        try:
            data, _ = cleaned(tmp_path, bytes(changed))
        except Damaged:
            continue
        assert len(data) == len(source)
