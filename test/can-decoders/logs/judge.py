"""The judge of log readers: python-can. `write DIR` writes one log in each format; `read FILE` prints its frames."""
import json
import os
import random
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


def read(path):
    first = None
    for frame in can.LogReader(path):
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


{"write": write, "read": read}[sys.argv[1]](sys.argv[2])
