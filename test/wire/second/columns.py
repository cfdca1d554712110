"""The columns of a record, written from docs/formats.md, "Columns"; reads only."""
import base64
import struct
from cbor import Refused

CURVE = [1, 2, 3, 6, 10, 16, 27, 45, 73, 120, 194, 310, 488, 747, 1101, 1546, 2047, 2549, 2994, 3348, 3607, 3785, 3901,
         3975, 4022, 4050, 4068, 4079, 4085, 4089, 4092, 4093, 4094]
SQUASH = [CURVE[x >> 7] * (128 - x % 128) + CURVE[(x >> 7) + 1] * (x % 128) >> 4 for x in range(4096)]
STRETCH = []
_x = -2047
for _q in range(4096):
    while _x < 2047 and SQUASH[_x + 2048] < 8 * _q:
        _x += 1
    STRETCH.append(_x)
RATE = [65536 // (2 * n + 3) for n in range(128)]
FRESH = (1 << 21, 0)
T = 495
PERIODS = [1000, 100, 50, 20, 10, 5, 25, 40, 200, 250, 500, 30, 1, 2, 0]
LIMIT = 1 << 27


def counters(text, size):
    out, data, at = [], base64.b64decode(text), 0
    while at < len(data):
        if data[at] == 128:
            out += [FRESH] * (data[at + 1] + 1)
            at += 2
            continue
        x = 128 * ((data[at] >> 3) - 16)
        out.append((SQUASH[max(x, -2047) + 2048] * 128, [0, 2, 5, 10, 20, 40, 80, 127][data[at] % 8]))
        at += 1
    return out + [FRESH] * (size - len(out))


class Tables:
    def __init__(self, model, head, weight):
        self.model = counters(model, 10 * 2880)
        self.head = counters(head, 556)
        self.weight = [(b - 256 if b > 127 else b) * 512 for b in base64.b64decode(weight)]


class Coder:
    def __init__(self, data, tables):
        self.data, self.tables, self.at = data, tables, 0
        self.low, self.high, self.word = 0, 0xFFFFFFFF, 0
        for _ in range(4):
            self.word = self.word << 8 | self.byte()
        self.slots = list(tables.head)
        self.counters, self.weights = [], []

    def byte(self):
        self.at += 1
        if self.at <= len(self.data):
            return self.data[self.at - 1]
        if self.at > len(self.data) + 4:
            raise Refused("the columns end too early")
        return 0

    def code(self, p):
        span = self.high - self.low
        middle = self.low + (span >> 15) * p + ((span % 32768) * p >> 15)
        bit = 1 if self.word <= middle else 0
        if bit:
            self.high = middle
        else:
            self.low = middle + 1
        while self.low >> 24 == self.high >> 24:
            self.low = self.low << 8 & 0xFFFFFFFF
            self.high = self.high << 8 & 0xFFFFFFFF | 0xFF
            self.word = self.word << 8 & 0xFFFFFFFF | self.byte()
        return bit

    def end(self):
        """What the writer put at its end must be all that is left."""
        if self.low == 0:
            tail = b""
        else:
            for count in (1, 2, 3, 4):
                tail = self.high.to_bytes(4, "big")[:count]
                if int.from_bytes(tail + bytes(4 - count), "big") >= self.low:
                    break
        start = self.at - 4
        if self.data[start:] != tail:
            raise Refused("the columns do not end where their values end")

    @staticmethod
    def learn(counter, bit):
        p, n = counter
        if bit:
            p += ((2**22 - 1 - p) >> 7) * RATE[n] >> 8
        else:
            p -= (p >> 7) * RATE[n] >> 8
        return p, min(n + 1, 127)

    def single_in(self, counters, slot):
        bit = self.code(min(32752, max(16, counters[slot][0] >> 7)))
        counters[slot] = self.learn(counters[slot], bit)
        return bit

    def single(self, slot):
        return self.single_in(self.slots, slot)

    def plain(self, bits):
        n = 0
        for _ in range(bits):
            n = n << 1 | self.code(1 << 14)
        return n

    def tree(self, bits, slot):
        node = 1
        for _ in range(bits):
            node = node << 1 | self.single(slot + node)
        return node - (1 << bits)

    def mixed(self, node, places):
        w = [self.weights[4 * node + i] for i in range(4)]
        t = [STRETCH[self.counters[place][0] >> 10] for place in places]
        dot = min(2047, max(-2047, sum(a * b for a, b in zip(w, t)) >> 14))
        p = SQUASH[dot + 2048]
        bit = self.code(p)
        e = ((bit << 15) - p) * 14
        for i in range(4):
            self.weights[4 * node + i] = min(114688, max(-114688, w[i] + (t[i] * e >> 18)))
        learnt = [self.learn(self.counters[place], bit) for place in places]
        for place, counter in zip(places, learnt):
            self.counters[place] = counter
        return bit

    def number(self, kind):
        k = 0
        while k < 30 and self.single(33 * kind + k):
            k += 1
        return (1 << k | self.plain(k)) - 1

    def signed(self, kind):
        n = self.number(kind)
        return -n if n and self.single(33 * kind + 32) else n

    def start_model(self, c):
        self.counters = self.tables.model[2880 * c:2880 * (c + 1)]
        self.weights = self.tables.weight[160 * c:160 * (c + 1)]

    def residual(self, c0, c1, c2, c3):
        places = [720 * i + 40 * c for i, c in enumerate((c0, c1, c2, c3))]

        def bit(node):
            return self.mixed(node, [place + node for place in places])

        if not bit(0):
            return 0
        negative = bit(1)
        k = 0
        while k < 30 and bit(2 + min(k, 19)):
            k += 1
        m = 1
        if k >= 1:
            m = m << 1 | bit(21 + min(k, 9))
        if k >= 2:
            m = m << 1 | bit(29 + min(k, 10))
        if k >= 3:
            m = m << k - 2 | self.plain(k - 2)
        return -m if negative else m


def five(r):
    return max(-2, min(2, r)) + 2


def three(r):
    return (r > 0) - (r < 0) + 1


def length(n):
    return n.bit_length()


def read_times(coder, earlier, span, u):
    """Times of a group in ticks, and how far each lay from where it was expected."""
    if coder.single(T):
        return [], []
    if coder.single(T + 1):
        return [coder.signed(4)], [0]
    choice = coder.tree(4, T + 44)
    period = PERIODS[choice] * u if choice < 15 else coder.number(2)
    usual = coder.number(3)
    d = coder.number(7)
    if d > len(earlier) or d and not earlier[-d][0]:
        raise Refused("times refer to a group that is not there")
    other, errors_there = earlier[-d] if d else ([], [])
    first = coder.signed(4)
    product = period * usual
    rows = coder.signed(1) + (2 if product == 0 else max(2, -(-(span - first) // product)))
    if not 2 <= rows <= 65536:
        raise Refused("a group has too many rows")
    coder.start_model(9 if d else 8)
    phase, step, at = 256 * first + 128, 256 * period, 0

    def seek(x):
        nonlocal at
        while at + 1 < len(other) and abs(other[at + 1] - x) <= abs(other[at] - x):
            at += 1

    offset = 0
    if d:
        seek(first)
        offset = 256 * first + 128 - 256 * other[at]
    times, errors = [first], [0]
    energy = r1 = r2 = odd = 0
    for _ in range(rows - 1):
        beats = 0
        if period:
            difference = coder.signed(6 if odd else 5)
            odd = difference != 0
            beats = usual + difference
        line = phase + beats * step
        x = line
        if d:
            seek((line - offset) // 256)
            x = 256 * other[at] + offset
        base = x // 256
        c3 = min(16, max(0, (errors_there[at] >> 5) + 8)) if d else 17
        r = coder.residual(x - 256 * base >> 4, 3 * five(r1) + three(r2), min(length(energy), 17), c3)
        time = base + r
        if time < times[-1] or abs(time) > 2**28:
            raise Refused("times run backwards or away")
        error = 256 * time + 128 - x
        times.append(time)
        errors.append(min(4096, max(-4096, error)))
        if d:
            offset += error // 8
            phase = 256 * time + 128
        elif abs(error) > 512 * u:
            phase = 256 * time + 128
        else:
            phase = x + error // 8
            step = max(128, step + error // 256)
        energy += (min(abs(r), 4095) * 16 - energy) >> 2
        r1, r2 = r, r1
    return times, errors


class Columns:
    """Columns of whole numbers of a record, in the order coded."""

    def __init__(self, coder, times):
        self.coder, self.times = coder, times
        self.earlier = []
        self.group, self.beside = -1, []

    def start_group(self, group):
        self.group, self.beside = group, []

    def read(self, present):
        coder = self.coder
        many = sum(present) > 1
        form = coder.tree(2, T + 8) if many else 1
        if form == 1:
            return self.ramp(present, many)
        read = {0: self.predicted, 2: self.dictionary, 3: self.packed}[form]
        there = read(present)
        held, before = [], 0
        for value, flag in zip(there, present):
            before = value if flag else before
            held.append(before)
        if any(abs(v) > LIMIT for v in held):
            raise Refused("a value lies outside its range")
        self.earlier.append((self.group, held))
        return there

    def ramp(self, present, many):
        v = self.coder.signed(8)
        step, modulus = 0, 0
        if many and self.coder.single(T + 60):
            step = self.coder.number(13) + 1
            w = self.coder.number(14)
            modulus = 1 << w if w else self.coder.number(13)
            if not (0 <= v < modulus <= LIMIT and step < modulus):
                raise Refused("a counter that cannot be")
        out, started = [], False
        for flag in present:
            if flag and started and step:
                v = v + step - (modulus if v + step >= modulus else 0)
            started = started or bool(flag)
            out.append(v)
        return out

    def base_of(self, reference, row):
        if not reference:
            return 0
        group, held = self.earlier[-reference]
        if group == self.group:
            return held[row]
        there, now = self.times[group][0], self.times[self.group][0][row]
        before = [i for i, time in enumerate(there) if time <= now]
        return held[before[-1] if before else 0]

    def predicted(self, present):
        coder = self.coder
        reference = coder.number(11)
        if reference > len(self.earlier):
            raise Refused("a column refers to one that does not exist")
        predictor = coder.tree(2, T + (24 if reference else 20))
        level = coder.tree(3, T + (36 if reference else 28))
        coder.start_model(level)
        none = [0] * len(present)
        a, b = ([*self.beside, none, none])[:2]
        out, residuals = [], []
        s1 = s2 = average = r1 = r2 = run = last = 0
        energy, seen = [0, 2, 6, 10, 16, 40, 120, 600][level], False
        for row, flag in enumerate(present):
            if not flag:
                out.append(0)
                residuals.append(0)
                continue
            base = self.base_of(reference, row)
            if not seen:
                s = coder.signed(10 if reference else 9)
                seen, s1, s2, average = True, s, s, 4 * s
                out.append(base + s)
                residuals.append(0)
                continue
            guess = (s1, 2 * s1 - s2, s1 + (s1 - s2 >> 1), average + 2 >> 2)[predictor]
            c3 = 3 * min(run, 5) + (run >= last) + (run > last)
            r = coder.residual(min(length(energy), 17), 3 * five(r1) + three(r2), 3 * five(a[row]) + three(b[row]), c3)
            s = guess + r
            out.append(base + s)
            residuals.append(r)
            if r:
                last, run = run, 0
            else:
                run += 1
            energy += (min(abs(r), 4095) * 16 - energy) >> 2
            average += s - (average >> 2)
            s1, s2, r1, r2 = s, s1, r, r1
        self.beside = [residuals, a]
        return out

    def dictionary(self, present):
        coder = self.coder
        count = coder.number(12) + 2
        if count > 16:
            raise Refused("a dictionary has more than sixteen words")
        words = [coder.signed(9)]
        while len(words) < count:
            words.append(words[-1] + 1 + coder.number(13))
        depth = (count - 1).bit_length()
        coder.counters, coder.weights = [FRESH] * (2320 + 4096), [6554] * 64
        i1 = i2 = run = 0
        out = []
        for flag in present:
            if not flag:
                out.append(0)
                continue
            node = 1
            for _ in range(depth):
                places = (node, 16 + 16 * i1 + node, 272 + 16 * (8 * i1 + run) + node, 2320 + 16 * (16 * i1 + i2) + node)
                node = node << 1 | coder.mixed(node, places)
            index = node - (1 << depth)
            if index >= count:
                raise Refused("an index lies outside its dictionary")
            out.append(words[index])
            run = min(run + 1, 7) if index == i1 else 0
            i1, i2 = index, i1
        return out

    def packed(self, present):
        least, width = self.coder.signed(9), self.coder.number(14)
        if width > 28:
            raise Refused("a value lies outside its range")
        return [least + self.coder.plain(width) if flag else 0 for flag in present]


def read_bytes(coder, present, width):
    slots = [FRESH] * (256 * 2 * width)
    before, out = [0] * width, []
    for flag in present:
        if not flag:
            out.append(0.0)
            continue
        above = 0
        for position in range(width):
            node = 1
            for _ in range(8):
                node = node << 1 | coder.single_in(slots, 256 * (2 * position + above) + node)
            change = node - 256
            above = above or int(change != 0)
            before[position] ^= change
        out.append(struct.unpack(">f" if width == 4 else ">d", bytes(before))[0])
    return out


def read_ordered(columns, present, width):
    coder, sign = columns.coder, 1 << 8 * width - 1
    least, s = coder.plain(8 * width), coder.number(14)
    if s > 26:
        raise Refused("floats lie too far apart")
    out = []
    for part, flag in zip(columns.read(present), present):
        if not flag:
            out.append(0.0)
            continue
        o = least + (part << s) + coder.plain(s)
        if part < 0 or o >= 2 * sign:
            raise Refused("a value lies outside its range")
        raw = o - sign if o >= sign else 2 * sign - 1 - o
        out.append(struct.unpack(">f" if width == 4 else ">d", raw.to_bytes(width, "big"))[0])
    return out


def read_cells(columns, kind, present):
    """Cells of one column of the schema: int for kinds 0 and 1, float for 2 and 3."""
    coder = columns.coder
    if kind == 0:
        if not coder.single(T + 3):
            return columns.read(present)
        high = columns.read(present)
        return [(h << 26) + low for h, low in zip(high, columns.read(present))]
    if kind == 1:
        top, middle, bottom = (columns.read(present) for _ in range(3))
        return [(t << 52) + (m << 26) + b for t, m, b in zip(top, middle, bottom)]
    form = coder.tree(2, T + 4)
    if form == 0:
        return [float(v) for v in columns.read(present)]
    if form == 1 and kind == 3:
        below = columns.read(present)
        return [p / q if flag else 0.0 for p, q, flag in zip(columns.read(present), below, present)]
    if form == 2:
        return read_bytes(coder, present, 4 if kind == 2 else 8)
    if form == 3:
        return read_ordered(columns, present, 4 if kind == 2 else 8)
    raise Refused("a column of floats has an unknown form")


def read_columns(data, groups, u, tables):
    """Groups as (times in ticks after t0, [(cells, present)]); `groups` has the kinds of each group's columns."""
    coder = Coder(data, tables)
    span = 100 * u * (coder.number(0) + 1)
    times, out = [], []
    columns = Columns(coder, times)
    for index, kinds in enumerate(groups):
        times.append(read_times(coder, times, span, u))
        rows = len(times[-1][0])
        cells = []
        columns.start_group(index)
        before = None
        for kind in kinds:
            present = [1] * rows
            gaps = rows > 0 and coder.single(T + 2)
            if gaps:
                back1 = back2 = 1
                for row in range(rows):
                    slot = 2 * back2 + back1 + (4 if before is not None and not before[row] else 0)
                    present[row] = coder.single(T + 12 + slot)
                    back1, back2 = present[row], back1
            before = present if gaps else None
            cells.append((read_cells(columns, kind, present) if any(present) else [0] * rows, present))
        out.append((times[-1][0], cells))
    coder.end()
    return out
