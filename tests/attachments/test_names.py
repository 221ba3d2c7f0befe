"""File names."""

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chatd.attachments.names import NAME_BYTES, disposition, safe_name
from chatd.attachments.types import ALL, JPEG, MP4, PDF, TEXT, FileType

NAMES: list[tuple[str | None, FileType, str]] = [
    ("tooth.jpg", JPEG, "tooth.jpg"),
    ("tooth.JPEG", JPEG, "tooth.jpeg"),
    ("IMG_1.heic", JPEG, "IMG_1.jpg"),
    ("tooth.exe", JPEG, "tooth.jpg"),
    ("tooth", JPEG, "tooth.jpg"),
    ("letter.pdf.html", PDF, "letter.pdf.pdf"),
    (None, JPEG, "picture.jpg"),
    ("", MP4, "video.mp4"),
    (".jpg", JPEG, "picture.jpg"),
    ("...", JPEG, "picture.jpg"),
    ("../../etc/passwd", TEXT, "passwd.txt"),
    ("..\\..\\boot.ini", TEXT, "boot.txt"),
    ("C:\\Users\\a\\b.jpg", JPEG, "b.jpg"),
    (".htaccess", TEXT, "text.txt"),
    ("a\0b.jpg", JPEG, "ab.jpg"),
    ("a\r\nSet-Cookie: x.jpg", JPEG, "aSet-Cookie_ x.jpg"),
    ("photo\u202egpj.exe", JPEG, "photogpj.jpg"),
    ("a\u200b\u2066b.jpg", JPEG, "ab.jpg"),
    ('a"b<c>d|e?f*g%h.jpg', JPEG, "a_b_c_d_e_f_g_h.jpg"),
    ("CON", TEXT, "_CON.txt"),
    ("con.txt", TEXT, "_con.txt"),
    ("lpt1.a.txt", TEXT, "_lpt1.a.txt"),
    ("COM²", TEXT, "_COM².txt"),
    ("console.txt", TEXT, "console.txt"),
    ("x" * 300 + ".jpg", JPEG, "x" * 146 + ".jpg"),
    ("é" * 300 + ".jpg", JPEG, "é" * 73 + ".jpg"),
    ("  Röntgen  Zähne .jpg ", JPEG, "Röntgen Zähne.jpg"),
    ("한국어.pdf", PDF, "한국어.pdf"),
    ("\udcff.jpg", JPEG, "picture.jpg"),
]


@pytest.mark.parametrize(("given_name", "type", "expected"), NAMES)
def test_safe_name_keeps_what_is_harmless(given_name: str | None, type: FileType, expected: str) -> None:
    assert safe_name(given_name, type) == expected


@given(st.text(max_size=400), st.sampled_from(ALL))
def test_safe_name_of_anything_is_one_path_part_with_the_type_s_extension(text: str, type: FileType) -> None:
    name = safe_name(text, type)
    stem, _, extension = name.rpartition(".")
    assert stem
    assert not stem.startswith(".")
    assert extension in type.extensions
    assert len(name.encode()) <= NAME_BYTES
    assert not re.search(r'[/\\<>:"|?*\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]', name)
    assert safe_name(name, type) == name


@given(st.text(max_size=200), st.sampled_from(ALL), st.booleans())
def test_disposition_has_both_forms_and_nothing_that_ends_a_header(text: str, type: FileType, inline: bool) -> None:
    name = safe_name(text, type)
    header = disposition(name, inline=inline)
    found = re.fullmatch(
        r"(inline|attachment); filename=\"([ !#-\[\]-~]+)\"; filename\*=UTF-8''([\w!#$&+.^`|~%-]+)", header
    )
    assert found is not None, header
    assert found[1] == ("inline" if inline else "attachment")
    assert "%" not in found[2], "some browsers decode it"
    assert not found[2].startswith(".")
    assert unquote(found[3], errors="strict") == name


def test_disposition_of_a_name_in_another_script_keeps_the_extension() -> None:
    assert disposition("한국어.pdf", inline=False) == (
        "attachment; filename=\"file.pdf\"; filename*=UTF-8''%ED%95%9C%EA%B5%AD%EC%96%B4.pdf"
    )
