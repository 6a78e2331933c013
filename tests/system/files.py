"""Firmware files made for tests: bytes that tell their position, and images of a real format, whole or spoilt."""
import hashlib
import struct


def pattern(size, seed=0):
    """Bytes that tell their position: big-endian counters, so that a piece shifted by one byte differs."""
    words = size // 4 + 1
    start = seed * 0x01010101
    return struct.pack(f">{words}I", *((start + i) & 0xFFFFFFFF for i in range(words)))[:size]


def esp_image(version="1.2.0", project="thermo", chip_id=5, payload=b"", hash_appended=True, spoil=None):
    """An ESP application image of two segments. spoil: "checksum", "hash" or "truncated"."""
    desc = struct.pack("<II8x32s32s16s16s32s32s80x", 0xABCD5432, 0, version.encode(), project.encode(), b"12:00:00",
                       b"Jan  1 2026", b"v5.1.2", hashlib.sha256(payload).digest())
    head = struct.pack("<BBBBI", 0xE9, 2, 2, 0x20, 0x403800EE)
    head += struct.pack("<B3sHBHH4sB", 0xEE, bytes(3), chip_id, 0, 0, 0xFFFF, bytes(4), int(hash_appended))
    code = pattern(1000) + payload
    code += bytes(-len(code) % 4)
    segments = [desc, code]
    image = head + b"".join(struct.pack("<II", 0x3C000020 + (i << 20), len(s)) + s for i, s in enumerate(segments))
    checksum = 0xEF
    for byte in b"".join(segments):
        checksum ^= byte
    image += bytes(-(len(image) + 1) % 16) + bytes([checksum ^ (1 if spoil == "checksum" else 0)])
    if hash_appended:
        digest = bytearray(hashlib.sha256(image).digest())
        digest[31] ^= 1 if spoil == "hash" else 0
        image += bytes(digest)
    return image[:len(image) // 2] if spoil == "truncated" else image


def mcuboot_image(version=(1, 2, 3, 4), payload=b"", counter=None, spoil=None):
    """An MCUboot image as Zephyr's build makes it. spoil: "hash" or "truncated"."""
    code = pattern(1000) + payload
    protected = b"" if counter is None else struct.pack("<HHHHI", 0x6908, 12, 0x50, 4, counter)
    image = struct.pack("<IIHHIIBBHII", 0x96F3B83D, 0, 32, len(protected), len(code), 0, *version, 0) + code + protected
    digest = bytearray(hashlib.sha256(image).digest())
    digest[31] ^= 1 if spoil == "hash" else 0
    image += struct.pack("<HHHH", 0x6907, 40, 0x10, 32) + digest
    return image[:len(image) // 2] if spoil == "truncated" else image


SIZE = 100_003  # no multiple of any block
DATA = pattern(SIZE)
