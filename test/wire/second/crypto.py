"""X25519 (RFC 7748), Ed25519 (RFC 8032), ChaCha20-Poly1305 (RFC 8439), HKDF (RFC 5869) and HPKE (RFC 9180), plain
Python: slow, not constant in time, for reading what a test wrote and for nothing else."""
import hashlib
import hmac
import struct

P = 2**255 - 19


def x25519(secret, public):
    k = int.from_bytes(secret, "little")
    k = k & ~(1 << 255) & ~7 | 1 << 254
    x1 = int.from_bytes(public, "little") & (1 << 255) - 1
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in range(254, -1, -1):
        bit = k >> t & 1
        if swap ^ bit:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = bit
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb = d * a % P, c * b % P
        aa, bb = a * a % P, b * b % P
        e = aa - bb
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


D = -121665 * pow(121666, P - 2, P) % P
L = 2**252 + 27742317777372353535851937790883648493


def _add(p, q):
    x1, y1, z1, t1 = p
    x2, y2, z2, t2 = q
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(k, p):
    total = (0, 1, 1, 0)
    while k:
        if k & 1:
            total = _add(total, p)
        p, k = _add(p, p), k >> 1
    return total


def _point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    xx = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - xx) % P:
        raise ValueError("no point")
    if x & 1 != sign:
        x = P - x
    return x, y, 1, x * y % P


BASE = _point((4 * pow(5, P - 2, P) % P).to_bytes(32, "little"))


def ed25519_verify(public, message, signature):
    if len(signature) != 64:
        return False
    s = int.from_bytes(signature[32:], "little")
    if s >= L:
        return False
    a, r = _point(public), _point(signature[:32])
    h = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % L
    left, right = _times(s, BASE), _add(r, _times(h, a))
    return (left[0] * right[2] - right[0] * left[2]) % P == 0 and (left[1] * right[2] - right[1] * left[2]) % P == 0


def _rotate(x, n):
    return (x << n | x >> 32 - n) & 0xFFFFFFFF


def _block(key, counter, nonce):
    start = [0x61707865, 0x3320646E, 0x79622D32, 0x6B206574, *struct.unpack("<8L", key), counter,
             *struct.unpack("<3L", nonce)]
    s = list(start)
    for _ in range(10):
        for a, b, c, d in ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12),
                           (2, 7, 8, 13), (3, 4, 9, 14)):
            s[a] = s[a] + s[b] & 0xFFFFFFFF
            s[d] = _rotate(s[d] ^ s[a], 16)
            s[c] = s[c] + s[d] & 0xFFFFFFFF
            s[b] = _rotate(s[b] ^ s[c], 12)
            s[a] = s[a] + s[b] & 0xFFFFFFFF
            s[d] = _rotate(s[d] ^ s[a], 8)
            s[c] = s[c] + s[d] & 0xFFFFFFFF
            s[b] = _rotate(s[b] ^ s[c], 7)
    return struct.pack("<16L", *(x + y & 0xFFFFFFFF for x, y in zip(s, start)))


def _poly1305(key, message):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(message), 16):
        total = (total + int.from_bytes(message[at:at + 16] + b"\x01", "little")) * r % (2**130 - 5)
    return (total + int.from_bytes(key[16:], "little") & (1 << 128) - 1).to_bytes(16, "little")


def aead_open(key, nonce, aad, sealed):
    text, tag = sealed[:-16], sealed[-16:]
    padded = aad + bytes(-len(aad) % 16) + text + bytes(-len(text) % 16) + struct.pack("<QQ", len(aad), len(text))
    if not hmac.compare_digest(_poly1305(_block(key, 0, nonce)[:32], padded), tag):
        raise ValueError("does not open")
    out = bytearray()
    for at in range(0, len(text), 64):
        out += bytes(x ^ y for x, y in zip(text[at:at + 64], _block(key, 1 + at // 64, nonce)))
    return bytes(out)


def extract(salt, ikm):
    return hmac.new(salt or bytes(32), ikm, hashlib.sha256).digest()


def expand(prk, info, length):
    out, last, i = b"", b"", 1
    while len(out) < length:
        last = hmac.new(prk, last + info + bytes([i]), hashlib.sha256).digest()
        out, i = out + last, i + 1
    return out[:length]


class Hpke:
    """Recipient of base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305."""

    KEM = b"KEM" + b"\x00\x20"
    SUITE = b"HPKE" + b"\x00\x20\x00\x01\x00\x03"

    def __init__(self, secret, public, enc, info):
        shared = x25519(secret, enc)
        prk = extract(b"", b"HPKE-v1" + self.KEM + b"eae_prk" + shared)
        shared = expand(prk, b"\x00\x20HPKE-v1" + self.KEM + b"shared_secret" + enc + public, 32)
        context = b"\x00" + self._extract(b"", b"psk_id_hash", b"") + self._extract(b"", b"info_hash", info)
        secret = self._extract(shared, b"secret", b"")
        self.key = self._expand(secret, b"key", context, 32)
        self.base_nonce = self._expand(secret, b"base_nonce", context, 12)
        self.exporter = self._expand(secret, b"exp", context, 32)

    def _extract(self, salt, label, ikm):
        return extract(salt, b"HPKE-v1" + self.SUITE + label + ikm)

    def _expand(self, prk, label, info, length):
        return expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + self.SUITE + label + info, length)

    def open_first(self, aad, sealed):
        return aead_open(self.key, self.base_nonce, aad, sealed)

    def export(self, context, length):
        return self._expand(self.exporter, b"sec", context, length)
