#!/usr/bin/env python3
"""An independent verifier of Tollgate's proofs and exports, Python's standard library only.

Written from RFC 9162 alone (sections 2.1.1, 2.1.3.2, 2.1.4.2) and from the export format in ledger/README.md; it shares
no code and no author's helper with ledger/. Signatures are not checked: the standard library has no Ed25519.

  verify_rfc9162.py proofs  < CASES    one JSON object a line in, "true" or "false" a line out
      {"leaf": index, "size": n, "leafHash": b64, "root": b64, "path": [b64]}
      {"first": m, "second": n, "firstRoot": b64, "secondRoot": b64, "path": [b64]}
  verify_rfc9162.py export FILE        exit 0 when every leaf and checkpoint root of the export agrees, else 1
"""

import base64
import hashlib
import json
import sys


def leaf_hash(data):
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def merkle_tree_hash(leaves):
    """Section 2.1.1, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return node_hash(merkle_tree_hash(leaves[:k]), merkle_tree_hash(leaves[k:]))


def included(index, size, hash_, path, root):
    """Section 2.1.3.2."""
    if index >= size:
        return False
    fn, sn, r = index, size - 1, hash_
    for p in path:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            r = node_hash(p, r)
            if not fn & 1:
                while True:
                    fn >>= 1
                    sn >>= 1
                    if fn & 1 or fn == 0:
                        break
        else:
            r = node_hash(r, p)
        fn >>= 1
        sn >>= 1
    return sn == 0 and r == root


def consistent(first, second, first_root, second_root, path):
    """Section 2.1.4.2; equal sizes need equal roots and no proof."""
    if first == second:
        return not path and first_root == second_root
    if first == 0 or first > second or not path:
        return False
    path = list(path)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn >>= 1
        sn >>= 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr = node_hash(c, fr)
            sr = node_hash(c, sr)
            if not fn & 1:
                while True:
                    fn >>= 1
                    sn >>= 1
                    if fn & 1 or fn == 0:
                        break
        else:
            sr = node_hash(sr, c)
        fn >>= 1
        sn >>= 1
    return sn == 0 and fr == first_root and sr == second_root


def bytes_of(text):
    return base64.b64decode(text, validate=True)


def check_proof(case):
    path = [bytes_of(p) for p in case["path"]]
    if any(len(p) != 32 for p in path):
        return False
    if "leaf" in case:
        return included(case["leaf"], case["size"], bytes_of(case["leafHash"]), path, bytes_of(case["root"]))
    roots = bytes_of(case["firstRoot"]), bytes_of(case["secondRoot"])
    return consistent(case["first"], case["second"], roots[0], roots[1], path)


def head_of(note):
    origin, size, root = note.split("\n")[:3]
    return origin, int(size), bytes_of(root)


def check_export(file):
    with open(file, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    header = rows[0]
    heads = [(row, *head_of(row["note"])) for row in rows[1:] if "note" in row]
    leaves = [row for row in rows[1:] if "leaf" in row]
    problems = []
    hashes = []
    for row in leaves:
        hash_ = leaf_hash(bytes_of(row["data"]))
        hashes.append(hash_)
        if hash_ != bytes_of(row["hash"]):
            problems.append(f"leaf {row['leaf']}: its bytes do not have its hash")
    if header["kind"] == "whole":
        for _, _, size, root in heads:
            if size > len(hashes) or merkle_tree_hash(hashes[:size]) != root:
                problems.append(f"checkpoint of {size} leaves: another root")
    else:
        _, _, size, root = max(heads, key=lambda head: head[2])
        for row, _, first, first_root in heads:
            path = [bytes_of(p) for p in row["path"]]
            if first > 0 and not consistent(first, size, first_root, root, path):
                problems.append(f"checkpoint of {first} leaves: no prefix")
        for row, hash_ in zip(leaves, hashes):
            if not included(row["leaf"], size, hash_, [bytes_of(p) for p in row["path"]], root):
                problems.append(f"leaf {row['leaf']}: not included")
    for problem in problems:
        print(problem)
    print(f"{len(leaves)} leaves, {len(heads)} checkpoints, {len(problems)} problems")
    return 0 if not problems else 1


def main(arguments):
    if arguments[:1] == ["proofs"]:
        for line in sys.stdin:
            print("true" if check_proof(json.loads(line)) else "false")
        return 0
    if len(arguments) == 2 and arguments[0] == "export":
        return check_export(arguments[1])
    print(__doc__)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
