"""The judge of log readers: python-can. `write DIR` writes one log in each format; `read FILE` prints its frames; `frames` prints what
the logs of the formats that python-can does not know are written from: candump without -L, CSV of SavvyCAN, PCAP, PCAPNG."""
import gzip
import json
import os
import random
import shutil
import struct
import sys

import can


def frames():
    """400 frames of every kind that the formats share, the same in each run."""
    draw = random.Random(20261125)
    time = 1764000000.0
    for _ in range(400):
        time = round(time + draw.randint(0, 5000) / 1e6, 6)
        extended = draw.random() < 0.5
        kind = draw.choice(["data", "data", "data", "fd", "fd", "remote", "error"])
        # python-can takes an ASC line of CAN FD without payload for a remote frame, so there is none here.
        size = draw.choice([1, 2, 7, 8, 12, 16, 20, 24, 32, 48, 64]) if kind == "fd" else draw.randint(0, 8)
        common = {"timestamp": time, "channel": draw.randint(0, 3)}
        if kind == "error":
            yield can.Message(is_error_frame=True, **common)
            continue
        yield can.Message(
            arbitration_id=draw.getrandbits(29 if extended else 11),
            is_extended_id=extended,
            is_remote_frame=kind == "remote",
            is_fd=kind == "fd",
            bitrate_switch=kind == "fd" and draw.random() < 0.5,
            error_state_indicator=kind == "fd" and draw.random() < 0.5,
            dlc=size,
            data=None if kind == "remote" else draw.randbytes(size),
            is_rx=draw.random() < 0.5,
            **common,
        )


def write(folder):
    for ending in ("asc", "blf", "log"):
        with can.Logger(os.path.join(folder, "judge." + ending)) as log:
            for frame in frames():
                log(frame)
    # Containers that cut objects.
    with can.BLFWriter(os.path.join(folder, "small.blf"), max_container_size=500) as log:
        for frame in frames():
            log(frame)
    with can.BLFWriter(os.path.join(folder, "stored.blf"), compression_level=0) as log:
        for frame in frames():
            log(frame)


def word_of(frame):
    """`can_id` of SocketCAN."""
    if frame.is_error_frame:
        return 0x20000080
    return frame.arbitration_id | (frame.is_extended_id << 31) | (frame.is_remote_frame << 30)


def data_of(frame):
    return bytes(8) if frame.is_error_frame else bytes(frame.data)


def micros_of(frame):
    return round(frame.timestamp * 1e6)


def plain(frame):
    """A line of `candump -t a -x`."""
    word = word_of(frame)
    wide = frame.is_extended_id or frame.is_error_frame
    shown = word & 0x3FFFFFFF if wide else word & 0x7FF
    flags = ("B" if frame.bitrate_switch else "-") + " " + ("E" if frame.error_state_indicator else "-")
    text = f" ({micros_of(frame) // 10**6:010}.{micros_of(frame) % 10**6:06})  can{frame.channel}  RX {flags}  "
    text += f"{shown & 0x1FFFFFFF | (word & 0x20000000):0{8 if wide else 3}X}"
    data = data_of(frame)
    text += f"  [{len(data):02}] " if frame.is_fd else f"   [{8 if frame.is_error_frame else frame.dlc}] "
    text += " remote request" if frame.is_remote_frame else "".join(f" {byte:02X}" for byte in data)
    return text + ("   ERRORFRAME" if frame.is_error_frame else "")


def packet(frame):
    """A packet of LINKTYPE_CAN_SOCKETCAN."""
    flags = 4 | frame.bitrate_switch | frame.error_state_indicator << 1 if frame.is_fd else 0
    data = data_of(frame)
    length = frame.dlc if frame.is_remote_frame else len(data)
    return struct.pack(">IBBBB", word_of(frame), length, flags, 0, 0) + data


def block(kind, body):
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + size + body + size


def write_others(folder):
    """The logs that python-can does not write, by their descriptions."""
    with open(os.path.join(folder, "plain.txt"), "w") as log:
        for frame in frames():
            log.write(plain(frame) + "\n")
    with open(os.path.join(folder, "gvret.csv"), "w") as log:
        log.write("Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8\n")
        for frame in csv_frames():
            data = ",".join(f"{byte:02X}" for byte in frame.data)
            wide = "true" if frame.is_extended_id else "false"
            log.write(f"{micros_of(frame)},{frame.arbitration_id:08X},{wide},Rx,{frame.channel},{frame.dlc},{data},\n")
    with open(os.path.join(folder, "capture.pcap"), "wb") as log:
        log.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 227))
        for frame in frames():
            seconds, micros = divmod(micros_of(frame), 10**6)
            log.write(struct.pack("<IIII", seconds, micros, len(packet(frame)), len(packet(frame))) + packet(frame))
    with open(os.path.join(folder, "capture.pcapng"), "wb") as log:
        log.write(block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)))
        for bus in range(4):
            name = f"can{bus}".encode()
            log.write(block(1, struct.pack("<HHI", 227, 0, 0) + struct.pack("<HH", 2, len(name)) + name + bytes(4)))
        for frame in frames():
            time = micros_of(frame)
            size = len(packet(frame))
            head = struct.pack("<IIIII", frame.channel, time >> 32, time & 0xFFFFFFFF, size, size)
            log.write(block(6, head + packet(frame)))


def csv_frames():
    """Of what a CSV can say: no remote and no error frames, CAN FD only by its size, and no flags."""
    for frame in frames():
        if not frame.is_remote_frame and not frame.is_error_frame:
            frame.bitrate_switch = frame.error_state_indicator = False
            frame.is_fd = frame.dlc > 8
            yield frame


def zip_all(folder):
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), "rb") as log, gzip.open(os.path.join(folder, name + ".gz"), "wb") as out:
            shutil.copyfileobj(log, out)


def read(path):
    show(can.LogReader(path))


def show(messages):
    first = None
    for frame in messages:
        first = frame.timestamp if first is None else first
        error = frame.is_error_frame
        print(
            json.dumps(
                [
                    round((frame.timestamp - first) * 1e6),
                    "error" if error else frame.arbitration_id,
                    error or frame.is_extended_id,
                    frame.is_remote_frame,
                    frame.is_fd,
                    frame.bitrate_switch,
                    frame.error_state_indicator,
                    0 if error else frame.dlc,
                    "" if error else bytes(frame.data).hex(),
                    frame.channel,
                ]
            )
        )


def write_all(folder):
    write(folder)
    write_others(folder)
    zip_all(folder)


COMMANDS = {
    "write": write_all,
    "read": read,
    "frames": lambda name: show(csv_frames() if name == "gvret.csv" else frames()),
}
COMMANDS[sys.argv[1]](sys.argv[2])
