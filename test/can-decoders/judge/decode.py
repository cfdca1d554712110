"""The judge of decoders: cantools. For each line "DBC FRAMES OUT" on standard input, decodes the frames of one database.

FRAMES: records of 72 bytes: id word (u32, bit 31: 29 bits), length (u8), three bytes of nothing, payload.
OUT: one JSON line {"messages": {word: {"signals": [names], "labels": {name: {raw: text}}}}, "big": [count, sum]} or
{"refused": reason}, then a byte a frame (0 decoded, 1 refused, 2 unknown), and a double a signal of its message where it is 0, in the
order of the names; a signal that is not there is the NaN with the payload of ABSENT; then, for each tenth frame that is 0, a byte (1: the
values encode) and 64 bytes, what they encode to. "big" are the integers that a double cannot hold:
how many, and their sum modulo 2^64.
"""
import json
import struct
import sys

import cantools

ABSENT = struct.unpack("<d", struct.pack("<Q", 0x7FF8DEAD00000000))[0]
RECORD = 72
ENCODED_EVERY = 10


def labels_of(message):
    return {
        signal.name: {str(raw): str(text) for raw, text in signal.choices.items()}
        for signal in message.signals
        if signal.choices
    }


def encode(message, values):
    try:
        data = message.encode(values, strict=False)
    except Exception:
        return bytes(65)
    return b"\1" + data.ljust(64, b"\0")


def judge(dbc, frames, out):
    try:
        database = cantools.database.load_file(dbc, database_format="dbc", strict=False)
    except Exception as error:
        with open(out, "wb") as file:
            file.write(json.dumps({"refused": str(error)}).encode() + b"\n")
        return
    messages = {}
    for message in database.messages:
        messages[message.frame_id | (message.is_extended_frame << 31)] = message
    names = {word: [signal.name for signal in message.signals] for word, message in messages.items()}
    packers = {word: struct.Struct(f"<{len(list_)}d") for word, list_ in names.items()}
    with open(frames, "rb") as file:
        data = file.read()
    statuses = bytearray()
    values = bytearray()
    encoded = bytearray()
    big = [0, 0]
    for at in range(0, len(data), RECORD):
        word = int.from_bytes(data[at : at + 4], "little")
        message = messages.get(word)
        if message is None:
            statuses.append(2)
            continue
        try:
            decoded = message.decode(data[at + 8 : at + 8 + data[at + 4]], decode_choices=False)
        except Exception:
            statuses.append(1)
            continue
        row = []
        for name in names[word]:
            value = decoded.get(name, ABSENT)
            if type(value) is int and not -(2**53) < value < 2**53:
                big[0] += 1
                big[1] += value
            row.append(value)
        statuses.append(0)
        values += packers[word].pack(*row)
        if at // RECORD % ENCODED_EVERY == 0:
            encoded += encode(message, decoded)
    head = {
        "messages": {
            str(word): {"signals": names[word], "labels": labels_of(message)} for word, message in messages.items()
        },
        "big": [big[0], str(big[1] % 2**64)],
    }
    with open(out, "wb") as file:
        file.write(json.dumps(head).encode() + b"\n")
        file.write(statuses)
        file.write(values)
        file.write(encoded)


for line in sys.stdin:
    judge(*line.rstrip("\n").split("\t"))
    print("done", flush=True)
