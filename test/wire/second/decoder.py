"""A second decoder of what a unit writes, from docs/formats.md and wire/*.cddl alone: standard library, no code shared.

Reads one JSON object from stdin: {"tables": [model, head, weight], "streams": [...], "acks": [...], "leaves": [...],
"meters": [...]}, bytes as hex. Writes what it read as one JSON object; floats as the hex of their eight bytes.
"""
import base64
import hashlib
import hmac
import json
import struct
import sys

import cbor
from cbor import Refused
from columns import Tables, read_columns
from crypto import Hpke, aead_open, ed25519_verify


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def need(fine, what):
    if not fine:
        raise Refused(what)


def sign1(message, kid, public, external):
    protected, unprotected, payload, signature = cbor.decode(message)
    headers = cbor.decode(protected)
    need(unprotected == {} and headers == {1: -8, 4: kid}, "other headers")
    signed = cbor.encode(["Signature1", protected, external, payload])
    need(ed25519_verify(public, signed, signature), "the signature does not hold")
    return cbor.decode(payload)


def log_name(public):
    return "tollgate/" + sha256(public)[:8].hex()


def note_key_id(public):
    return sha256(log_name(public).encode() + b"\n\x01" + public)[:4]


class Stream:
    def __init__(self, given, tables):
        stream, pseudonym, tenant = bytes.fromhex(given["stream"]), given["pseudonym"], given["tenant"]
        self.tables, self.stream, self.pseudonym = tables, stream, pseudonym
        self.ledger = bytes.fromhex(given["ledger"])
        self.topic = f"v1/{tenant}/{pseudonym}/tx/{base64.urlsafe_b64encode(stream).decode().rstrip('=')}"
        place = cbor.encode([self.topic + "/s", pseudonym, stream])
        session = bytes.fromhex(given["session"])
        version, named, suite, enc, base_seq, self.hash, sealed = sign1(session, note_key_id(self.ledger), self.ledger, place)
        need((version, named, suite, base_seq) == (1, stream, [32, 1, 3], 0), "another session")
        info = cbor.encode(["tollgate/1", tenant, pseudonym, stream])
        hpke = Hpke(bytes.fromhex(given["secret"]), bytes.fromhex(given["public"]), enc, info)
        encoded = hpke.open_first(place, sealed)
        need(sha256(encoded) == self.hash, "another schema than the session says")
        self.schema = cbor.decode(encoded)
        self.export = hpke.export
        self.key, self.nonce = hpke.export(b"key", 32), hpke.export(b"nonce", 12)
        uid = self.schema[1][0]
        self.tag = hmac.new(hpke.export(b"tag", 32), uid.encode(), hashlib.sha256).digest()[:8]
        self.ticks, self.base, self.step = self.schema[4] or [1, 0, 0]
        self.chain = sha256(stream)

    def open(self, envelope):
        protected, headers, sealed = cbor.decode(envelope)
        need(protected == b"" and list(headers) == [6], "other headers")
        iv = headers[6]
        seq = int.from_bytes(iv, "big")
        nonce = bytes(x ^ y for x, y in zip(self.nonce, bytes(12 - len(iv)) + iv))
        external = cbor.encode([self.topic, self.pseudonym, self.tag, seq])
        packed = aead_open(self.key, nonce, cbor.encode(["Encrypt0", b"", external]), sealed)
        late, at = cbor.first(packed)
        partial = []
        if isinstance(late, list):
            late, *partial = late
        t0, data = self.base + seq * self.step + late, packed[at:]
        fields = [1, self.hash[:8], t0, data] + ([partial] if partial else [])
        record = cbor.encode(fields)
        salt = self.export(b"salt" + seq.to_bytes(8, "big"), 16)
        body = sha256(salt, record)
        self.chain = sha256(self.chain, body)
        boot, offset = self.schema[2][0], self.schema[2][1]
        utc = None if offset is None else t0 + offset
        leaf = cbor.encode([1, 1, boot, t0, utc, body, [self.stream, seq, self.tag, self.chain]])
        return {"seq": seq, "record": record, "leaf": leaf, "t0": t0, "partial": partial, "groups": self.groups(t0, data)}

    def groups(self, t0, data):
        kinds = [[column[7] for column in columns] for _, columns in self.schema[3]]
        read = read_columns(data, kinds, self.ticks, self.tables)
        return [{
            "times": [(t0 * self.ticks + tick) / self.ticks for tick in times],
            "columns": [[value if flag else None for value, flag in zip(cells, present)] for cells, present in columns],
        } for times, columns in read]

    def prove(self, proof, leaf, known):
        version, checkpoint, seq, index, path, evicted, grown = cbor.decode(proof)
        need(version == 1, "another version")
        size, root = self.note(checkpoint)
        need(inclusion(sha256(b"\0", leaf), index, size, hashes(path)) == root, "the leaf is not in the tree")
        if grown is not None:
            need(consistent(known[grown[0]], grown[0], root, size, hashes(grown[1])), "the tree did not only grow")
        known[size] = root
        return {"seq": seq, "index": index, "size": size, "evicted": evicted, "grown": grown is not None}

    def note(self, checkpoint):
        name, size, root, signed = checkpoint
        origin = log_name(self.ledger)
        need(origin == "tollgate/" + name.hex() and signed[:4] == note_key_id(self.ledger), "another log")
        body = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
        need(ed25519_verify(self.ledger, body.encode(), signed[4:]), "the checkpoint is not signed")
        return size, root


def hashes(data):
    need(len(data) % 32 == 0, "hashes of 32 bytes")
    return [data[at:at + 32] for at in range(0, len(data), 32)]


def inclusion(leaf, index, size, path):
    """Root from a leaf and its path, RFC 9162 §2.1.3.2."""
    fn, sn, r = index, size - 1, leaf
    for p in path:
        need(sn > 0, "the path is too long")
        if fn & 1 or fn == sn:
            r = sha256(b"\1", p, r)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = sha256(b"\1", r, p)
        fn, sn = fn >> 1, sn >> 1
    need(sn == 0, "the path is too short")
    return r


def consistent(root1, size1, root2, size2, path):
    """RFC 9162 §2.1.4.2."""
    if size1 & size1 - 1 == 0:
        path = [root1, *path]
    fn, sn = size1 - 1, size2 - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = sha256(b"\1", c, fr), sha256(b"\1", c, sr)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = sha256(b"\1", sr, c)
        fn, sn = fn >> 1, sn >> 1
    return fr == root1 and sr == root2 and sn == 0


def plain(value):
    """For JSON: bytes and floats as hex; whole numbers beyond 53 bits as text."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return "f" + struct.pack(">d", value).hex()
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        return str(value)
    if isinstance(value, (list, tuple)):
        return [plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    return value


def main():
    given = json.load(sys.stdin)
    tables = Tables(*given["tables"])
    out = {"streams": [], "acks": [], "leaves": [], "meters": []}
    for one in given["streams"]:
        stream, known = Stream(one, tables), {}
        records = [stream.open(bytes.fromhex(envelope)) for envelope in one["envelopes"]]
        leaves = {record["seq"]: record["leaf"] for record in records}
        proofs = []
        for proof in one["proofs"]:
            seq = cbor.decode(bytes.fromhex(proof))[2]
            proofs.append(stream.prove(bytes.fromhex(proof), leaves[seq], known))
        out["streams"].append({"schema": stream.schema, "tag": stream.tag, "records": records, "proofs": proofs})
    for one in given["acks"]:
        public = bytes.fromhex(one["key"])
        out["acks"].append(sign1(bytes.fromhex(one["bytes"]), sha256(public)[:8], public, b""))
    out["leaves"] = [cbor.decode(bytes.fromhex(leaf)) for leaf in given["leaves"]]
    out["meters"] = [cbor.decode(bytes.fromhex(meter)) for meter in given["meters"]]
    json.dump(plain(out), sys.stdout)


main()
