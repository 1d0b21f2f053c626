"""AES-256-GCM from FIPS 197 and SP 800-38D, to open and nothing else: slow, and of nobody's library. No tests."""

from __future__ import annotations

from functools import lru_cache


def _doubled(byte: int) -> int:
    return (byte << 1) ^ (0x11B if byte & 0x80 else 0)


def _substitutions() -> bytes:
    """The inverse in GF(2^8), which 3 generates, and the affine map."""
    powers, value = [], 1
    for _ in range(255):
        powers.append(value)
        value ^= _doubled(value)
    logs = {each: power for power, each in enumerate(powers)}
    made = bytearray()
    for byte in range(256):
        inverse = powers[-logs[byte] % 255] if byte else 0
        twice = inverse << 8 | inverse
        made.append(inverse ^ (twice >> 7 ^ twice >> 6 ^ twice >> 5 ^ twice >> 4) & 0xFF ^ 0x63)
    return bytes(made)


S = _substitutions()
DOUBLED = bytes(_doubled(byte) for byte in range(256))
SHIFTED = tuple((4 * (column + row) + row) % 16 for column in range(4) for row in range(4))


def _round_keys(key: bytes) -> list[bytes]:
    words = [key[at : at + 4] for at in range(0, 32, 4)]
    constant = 1
    while len(words) < 60:
        word = words[-1]
        if len(words) % 8 == 0:
            word = bytes(S[each] for each in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = _doubled(constant)
        elif len(words) % 8 == 4:
            word = bytes(S[each] for each in word)
        words.append(bytes(one ^ other for one, other in zip(words[-8], word, strict=True)))
    return [b"".join(words[at : at + 4]) for at in range(0, 60, 4)]


def _encrypt(rounds: list[bytes], block: bytes) -> bytes:
    state = bytes(one ^ other for one, other in zip(block, rounds[0], strict=True))
    for number, key in enumerate(rounds[1:], 1):
        state = bytes(S[state[at]] for at in SHIFTED)
        if number < 14:
            mixed = bytearray()
            for at in range(0, 16, 4):
                a, b, c, d = state[at : at + 4]
                whole = a ^ b ^ c ^ d
                mixed += bytes(one ^ whole ^ DOUBLED[one ^ other] for one, other in ((a, b), (b, c), (c, d), (d, a)))
            state = bytes(mixed)
        state = bytes(one ^ other for one, other in zip(state, key, strict=True))
    return state


def _hash(subkey: int, data: bytes) -> int:
    total = 0
    for at in range(0, len(data), 16):
        total ^= int.from_bytes(data[at : at + 16], "big")
        product, factor = 0, subkey
        for bit in range(127, -1, -1):
            if total >> bit & 1:
                product ^= factor
            factor = (factor >> 1) ^ (0xE1 << 120 if factor & 1 else 0)
        total = product
    return total


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)


@lru_cache(4096)  # the same payloads come again in hundreds of ledgers
def opened(key: bytes, nonce: bytes, sealed: bytes, additional: bytes) -> bytes | None:
    """The plain text; None where it isn't what that key sealed with this."""
    if len(nonce) != 12 or len(sealed) < 16:
        return None
    rounds = _round_keys(key)
    data, tag = sealed[:-16], sealed[-16:]
    lengths = (8 * len(additional)).to_bytes(8, "big") + (8 * len(data)).to_bytes(8, "big")
    subkey = int.from_bytes(_encrypt(rounds, bytes(16)), "big")
    hashed = _hash(subkey, _padded(additional) + _padded(data) + lengths)
    if hashed ^ int.from_bytes(_encrypt(rounds, nonce + b"\0\0\0\1"), "big") != int.from_bytes(tag, "big"):
        return None
    stream = b"".join(
        _encrypt(rounds, nonce + number.to_bytes(4, "big")) for number in range(2, 2 + -(-len(data) // 16))
    )
    return bytes(one ^ other for one, other in zip(data, stream, strict=False))
