"""Pictures and videos as phones make them, made by code. Each holds CANARY where a place or a text may be."""

import base64
import functools
import io
import struct
import zlib

from PIL import Image, ImageCms, PngImagePlugin

CANARY = b"canary-place"
SIZE = (64, 48)

HEIC = base64.b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0005VZDn*}000000000XXk=`10000000000aA{+700000000000000000000G-"
    "+&aV*mgE07O6l0ssL300001>;M4(00000002P%0ssI200J!l0RR9100000umAu6IB98aW&i*H00062000$fZf0cy000000RRAKc4ILB0000LX>"
    "Mj^0ssI300IC2MR;ju000004sdC7Z2$lO00031009SSaB^?}008D`aAR)(004Gqc4I>U18@KU0FVFx0000U@BsY%`1k+-"
    "4+CHT0RR|40Sp2E{{wIU00RJ!0009300RIXx&lC90096hLID8-"
    "Z~y=U0FVFx0{{R603M(qfd!W8<fgf}2xu@M00096AOHXZ03l)k0RRR>0l{;?i2wiq6Ju{|a&BX6cmM$a4FCp!0000KX>)L8000000000$0000$"
    "0000eV{Bn?0000$000010000m000010000000002|NsB+000020000GaA|mH000000|*ER00009X>xCL0{{R38EJ5BVE_OC000000RRC8fdT^s"
    "goXeB02*m>Wo7^X0000001jhhb7KGk009620002_ZDe6|0000zC;_in=Je{n|K)4H{-"
    "gYd$^ZXf|4O}A?lBYoo&{Q3|8w+x72T8$ZW+TTRNCAn>rK^qG|x4qG&4t^L;wH)21R&jW&i+9O#mtY000O80|5>I0ssI24FCWDG650*0{{R30R"
    "RR70Ei_31ONa40RR91KmY&$0ApcpVRCsbaBN{?WdHyG1ONd50ssI20!{z`000621poj50{{R3b^rqa0ssI20!07-"
    "000C41poj50{{R3jsO4v00000Gynhq0RR919smFU0RR91000000RR914FCWD0RR916aWAK0RR91000000R"
)
"""64 by 48 px, red on the left and blue on the right, turned by its own boxes to 48 by 64; EXIF with a place."""


def picture(size: tuple[int, int] = SIZE, mode: str = "RGB") -> Image.Image:
    """Four quarters: red, green, blue, white, so that each way of turning it shows."""
    image = Image.new("RGB", size, "white")
    half = (size[0] // 2, size[1] // 2)
    image.paste((220, 0, 0), (0, 0, *half))
    image.paste((0, 200, 0), (half[0], 0, size[0], half[1]))
    image.paste((0, 0, 220), (0, half[1], half[0], size[1]))
    return image.convert(mode)


def exif(orientation: int = 1) -> bytes:
    """EXIF with a place and a description."""
    found = Image.Exif()
    found[0x0112] = orientation
    found[0x010E] = CANARY.decode()
    place = found.get_ifd(0x8825)
    place.update({1: "N", 2: (52.0, 30.0, 0.0), 3: "E", 4: (13.0, 20.0, 0.0)})
    return found.tobytes()


@functools.cache
def profile() -> bytes:
    """A colour profile; it holds the time at which it was made."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def xmp() -> bytes:
    return b"<x:xmpmeta xmlns:x='adobe:ns:meta/'>" + CANARY + b"</x:xmpmeta>"


def jpeg(orientation: int = 1, size: tuple[int, int] = SIZE, **options: object) -> bytes:
    """A JPEG with EXIF, XMP, IPTC, a comment, a colour profile, a thumbnail, and more behind its end."""
    out = io.BytesIO()
    defaults: dict[str, object] = {
        "quality": 92,
        "icc_profile": profile(),
        "exif": exif(orientation),
        "comment": CANARY,
    }
    picture(size).save(out, "JPEG", **{**defaults, **options})
    data = out.getvalue()
    iptc = b"Photoshop 3.0\0" + CANARY
    extra = segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + xmp()) + segment(0xED, iptc) + segment(0xEF, CANARY)
    return data[:2] + extra + data[2:] + b"\xff\xd8 a second picture: " + CANARY


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload


def png(mode: str = "RGBA", orientation: int = 1, size: tuple[int, int] = SIZE, **options: object) -> bytes:
    out = io.BytesIO()
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", CANARY.decode())
    info.add_itxt("XML:com.adobe.xmp", xmp().decode())
    image = picture(size, "RGB")
    if mode == "RGBA":
        image.putalpha(picture(size, "L").point(lambda value: 0 if value == 255 else 255))
    else:
        image = picture(size, mode)
    defaults: dict[str, object] = {"exif": exif(orientation), "pnginfo": info, "icc_profile": profile()}
    image.save(out, "PNG", **{**defaults, **options})
    data = out.getvalue()
    return data[:-12] + chunk(b"tIME", b"\x07\xea\x01\x01\0\0\0") + data[-12:] + CANARY


def chunk(kind: bytes, payload: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(payload)) + kind + payload + struct.pack(">I", zlib.crc32(kind + payload))


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces so many pixels and has next to none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    pixels = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + pixels + chunk(b"IEND", b"")


def webp(orientation: int = 1, size: tuple[int, int] = SIZE, **options: object) -> bytes:
    out = io.BytesIO()
    picture(size).save(out, "WEBP", exif=exif(orientation), xmp=xmp(), icc_profile=profile(), **options)
    return out.getvalue() + CANARY


def gif(frames: int = 3) -> bytes:
    out = io.BytesIO()
    images = [picture().convert("P").rotate(90 * n) for n in range(frames)]
    images[0].save(out, "GIF", save_all=True, append_images=images[1:], comment=CANARY, loop=0, duration=40)
    data = out.getvalue()
    application = b"\x21\xff\x0bXMP DataXMP" + bytes((len(CANARY),)) + CANARY + b"\0"
    return data[:-1] + application + b"\x3b" + CANARY


def avif(orientation: int = 1, size: tuple[int, int] = SIZE) -> bytes:
    out = io.BytesIO()
    picture(size).save(out, "AVIF", exif=exif(orientation), xmp=xmp(), quality=80, icc_profile=profile())
    return out.getvalue() + box(b"skip", CANARY)


def encoded(format: str, size: tuple[int, int] = SIZE, mode: str = "RGB") -> bytes:
    """A plain picture in a format of Pillow's."""
    out = io.BytesIO()
    picture(size, mode).save(out, format)
    return out.getvalue()


def box(kind: bytes, *parts: bytes) -> bytes:
    """A box of an ISO media file."""
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def full(kind: bytes, *parts: bytes) -> bytes:
    """The same with version and flags 0."""
    return box(kind, bytes(4), *parts)


UPRIGHT = (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
QUARTER = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)


def track(
    handler: bytes, offset: int, samples: list[bytes], size: tuple[int, int] = (0, 0), matrix: tuple[int, ...] = UPRIGHT
) -> bytes:
    """A track whose samples lie in one chunk at `offset`."""
    numbers = struct.pack(">9i", *matrix) + struct.pack(">II", size[0] << 16, size[1] << 16)
    header = full(b"tkhd", bytes(20), bytes(16), numbers)
    sizes = struct.pack(">II", 0, len(samples)) + b"".join(struct.pack(">I", len(one)) for one in samples)
    tables = box(
        b"stbl",
        full(b"stsd", struct.pack(">I", 1), box(handler, bytes(8))),
        full(b"stts", struct.pack(">III", 1, len(samples), 1)),
        full(b"stsc", struct.pack(">IIII", 1, 1, len(samples), 1)),
        full(b"stsz", sizes),
        full(b"stco", struct.pack(">II", 1, offset)),
    )
    media = box(b"mdia", full(b"mdhd", bytes(20)), full(b"hdlr", bytes(4), handler, bytes(13)), box(b"minf", tables))
    return box(b"trak", header, media, box(b"udta", CANARY), full(b"meta", CANARY))


PIXELS = [b"frame one ", b"frame two"]


def movie(
    brand: bytes = b"qt  ", handler: bytes = b"vide", matrix: tuple[int, ...] = UPRIGHT, tail: bytes = b""
) -> bytes:
    """A video with its place in every spot that phones use, one track of timed places among them."""
    start = box(b"ftyp", brand, bytes(4), brand, b"isom")
    places = [CANARY, b"more " + CANARY]
    data = box(b"mdat", *PIXELS, *places)
    at = len(start) + 8
    moov = box(
        b"moov",
        full(b"mvhd", bytes(96)),
        track(handler, at, PIXELS, (1920, 1080), matrix),
        track(b"meta", at + sum(map(len, PIXELS)), places),
        box(b"udta", box(b"\xa9xyz", CANARY), box(b"loci", CANARY)),
        box(b"meta", full(b"keys", CANARY), box(b"ilst", CANARY)),
        box(b"uuid", bytes(16), CANARY),
    )
    return start + data + moov + box(b"uuid", bytes(16), xmp()) + box(b"free", CANARY) + tail


def ogg(mark: bytes = b"OpusHead") -> bytes:
    page = b"OggS\0\x02" + bytes(20) + b"\x01\x13" + mark
    return page + bytes(200)


def webm(codec: bytes = b"A_OPUS") -> bytes:
    doctype = b"\x42\x82\x84webm"
    return b"\x1a\x45\xdf\xa3" + bytes((0x80 | len(doctype),)) + doctype + b"\x18\x53\x80\x67" + b"\x86\x86" + codec


def pdf() -> bytes:
    return b"%PDF-1.7\n1 0 obj<</Type/Catalog>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"


SHOWN = {1: "rgbw", 2: "grwb", 3: "wbgr", 4: "bwrg", 5: "rbgw", 6: "brwg", 7: "wgbr", 8: "gwrb"}
"""What a viewer that obeys the orientation shows of red, green, blue and white."""


def corners(image: Image.Image) -> str:
    """The colours of the quarters: top left, top right, bottom left, bottom right."""
    names = {(True, False, False): "r", (False, True, False): "g", (False, False, True): "b", (True, True, True): "w"}
    seen = image.convert("RGB")
    across, down = seen.size
    found = ""
    for y in (down // 8, down * 7 // 8):
        for x in (across // 8, across * 7 // 8):
            pixel = seen.getpixel((x, y))
            assert isinstance(pixel, tuple)
            red, green, blue = pixel[:3]
            found += names[red > 128, green > 128, blue > 128]
    return found
