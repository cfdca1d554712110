import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HEADER_BYTES, OFFSET_ID, OFFSET_LENGTH } from '#contracts';
import type { Message, Signal } from '#dbc';
import { idWord } from '#decoders';
import { type BenchInput, CAN_FRAME_BYTES, inBenchOrder } from './input.ts';

/**
 * C that decodes the same frames, written anew here; the last value of each signal is kept as a physical double.
 *
 * - `generated`: in the structure of cantools' generator: a struct and an unpack function a message that takes the bytes
 *   of each signal one by one, a decode and an in-range function a signal, in a file of their own; the loop over the
 *   frames in another. It calls unpack and decode, as users do who want values.
 * - `hand`: what a C programmer would write for speed: one 64-bit load a frame, shifts and masks, one switch.
 * - `handGrouped`: the same behind a counting sort of 8,192 frames by message, one loop a message.
 */
export interface CBaseline {
  /** Frames/s of one run: the best of its passes. */
  round(program: CProgram): number;
  /** Last value of each signal after one pass, NaN where it never was, in the order of `inBenchOrder`. */
  readonly last: Float64Array;
  close(): void;
}

export type CProgram = 'generated' | 'hand' | 'handGrouped';

const PASSES = 3;
export const FLAGS: readonly string[] = ['-O2', '-flto', '-ffp-contract=off'];

/** @returns null where the machine has no C compiler */
export function cBaseline(input: BenchInput): CBaseline | null {
  if (spawnSync('gcc', ['--version']).status !== 0) return null;
  const dir = mkdtempSync(join(tmpdir(), 'decode-bench-'));
  const messages = inBenchOrder(input.database);
  writeFileSync(join(dir, 'lib.h'), header(messages));
  writeFileSync(join(dir, 'lib.c'), library(messages));
  writeFileSync(join(dir, 'generated.c'), program(messages, cases(messages)));
  writeFileSync(join(dir, 'hand.c'), program(messages, handCases(messages)));
  writeFileSync(join(dir, 'handGrouped.c'), groupedProgram(messages));
  writeFileSync(join(dir, 'frames.bin'), records(input));
  for (const file of ['lib', 'generated', 'hand', 'handGrouped']) {
    compile(dir, [...FLAGS, '-c', `${file}.c`, '-o', `${file}.o`]);
  }
  compile(dir, [...FLAGS, 'lib.o', 'generated.o', '-o', 'generated']);
  compile(dir, [...FLAGS, 'hand.o', '-o', 'hand']);
  compile(dir, [...FLAGS, 'handGrouped.o', '-o', 'handGrouped']);
  const run = (name: CProgram) => {
    const child = spawnSync(join(dir, name), ['frames.bin', String(PASSES), 'last.bin'], {
      cwd: dir,
      encoding: 'utf8',
    });
    if (child.status !== 0) throw new Error(`the C baseline failed: ${child.stderr}`);
    return input.frames / Math.min(...child.stdout.trim().split('\n').map(Number));
  };
  run('generated');
  const bytes = readFileSync(join(dir, 'last.bin'));
  return {
    round: run,
    last: new Float64Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)),
    close: () => rmSync(dir, { recursive: true }),
  };
}

function compile(dir: string, args: readonly string[]): void {
  const { status, stderr } = spawnSync('gcc', args, { cwd: dir, encoding: 'utf8' });
  if (status !== 0) throw new Error(`gcc failed: ${stderr}`);
}

/** struct can_frame of linux/can.h. */
function records({ batches, frames }: BenchInput): Uint8Array {
  const out = new Uint8Array(frames * CAN_FRAME_BYTES);
  let at = 0;
  for (const { bytes, slotBytes, count } of batches) {
    for (let i = 0; i < count; i++) {
      const slot = i * slotBytes;
      out.set(bytes.subarray(slot + OFFSET_ID, slot + OFFSET_ID + 4), at);
      out[at + 4] = bytes[slot + OFFSET_LENGTH]!;
      out.set(bytes.subarray(slot + HEADER_BYTES, slot + HEADER_BYTES + 8), at + 8);
      at += CAN_FRAME_BYTES;
    }
  }
  return out;
}

function typeOf({ length, signed, valueType }: Signal): string {
  if (valueType !== 'integer') return valueType === 'float32' ? 'float' : 'double';
  const bits = [8, 16, 32, 64].find((size) => length <= size)!;
  return `${signed ? 'int' : 'uint'}${bits}_t`;
}

const wordOf = (signal: Signal) => `uint${[8, 16, 32, 64].find((size) => signal.length <= size)}_t`;

function header(messages: readonly Message[]): string {
  const lines = ['#include <stdint.h>', '#include <stddef.h>'];
  for (const [m, message] of messages.entries()) {
    lines.push(`struct m${m}_t {`);
    for (const [s, signal] of message.signals.entries()) lines.push(`  ${typeOf(signal)} s${s};`);
    lines.push('};', `int m${m}_unpack(struct m${m}_t *dst, const uint8_t *src, size_t size);`);
    for (const [s, signal] of message.signals.entries()) {
      lines.push(
        `double m${m}_s${s}_decode(${typeOf(signal)} value);`,
        `int m${m}_s${s}_is_in_range(${typeOf(signal)} value);`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

function library(messages: readonly Message[]): string {
  const lines = ['#include <string.h>', '#include "lib.h"'];
  for (const [m, message] of messages.entries()) {
    lines.push(`int m${m}_unpack(struct m${m}_t *dst, const uint8_t *src, size_t size) {`);
    lines.push(`  if (size < ${message.length}u) return -1;`);
    for (const [s, signal] of message.signals.entries()) {
      lines.push(`  ${condition(message, signal, 'dst->')}{`, ...unpack(signal, s), '  }');
    }
    lines.push('  return 0;', '}');
    for (const [s, { factor, offset, ...signal }] of message.signals.entries()) {
      const type = typeOf({ factor, offset, ...signal });
      lines.push(
        `double m${m}_s${s}_decode(${type} value) { return ((double)value * ${factor.toExponential()}) + ${offset.toExponential()}; }`,
        `int m${m}_s${s}_is_in_range(${type} value) { ${inRange({ factor, offset, ...signal })} }`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

/** The test of a signal's own multiplexer; a cascade repeats those above it. */
function condition(message: Message, signal: Signal, prefix: string): string {
  if (signal.multiplexer === null) return '';
  const index = message.signals.findIndex(({ name }) => name === signal.multiplexer);
  const tests = signal.multiplexRanges.map(({ low, high }) => {
    const value = `(int64_t)${prefix}s${index}`;
    return low === high ? `${value} == ${low}` : `(${value} >= ${low} && ${value} <= ${high})`;
  });
  return `${condition(message, message.signals[index]!, prefix)}if (${tests.join(' || ')}) `;
}

function unpack(signal: Signal, s: number): string[] {
  const word = wordOf(signal);
  const lines = [`    ${word} v = 0;`];
  const motorola = signal.byteOrder === 'motorola';
  let bit = signal.start;
  for (let done = 0; done < signal.length; ) {
    const low = motorola ? Math.max(0, (bit & 7) + 1 - (signal.length - done)) : bit & 7;
    const high = motorola ? bit & 7 : Math.min(7, (bit & 7) + signal.length - done - 1);
    const width = high - low + 1;
    const place = motorola ? signal.length - done - width : done;
    const mask = ((1 << width) - 1) << low;
    lines.push(`    v |= (${word})((${word})((src[${bit >> 3}] & 0x${mask.toString(16)}u) >> ${low}) << ${place});`);
    done += width;
    bit = motorola ? (bit & ~7) + 15 : (bit & ~7) + 8;
  }
  const size = [8, 16, 32, 64].find((bits) => signal.length <= bits)!;
  if (signal.valueType !== 'integer') return [...lines, `    memcpy(&dst->s${s}, &v, sizeof v);`];
  if (signal.signed && signal.length < size) {
    const suffix = size === 64 ? 'ull' : 'u';
    const sign = (1n << BigInt(signal.length - 1)).toString();
    const fill = ((1n << BigInt(size)) - (1n << BigInt(signal.length))).toString();
    lines.push(`    if ((v & ${sign}${suffix}) != 0) v |= (${word})${fill}${suffix};`);
  }
  return [...lines, `    dst->s${s} = (${typeOf(signal)})v;`];
}

/** The case of a message: unpack, then decode what is there. */
function cases(messages: readonly Message[]): string {
  let slot = 0;
  return messages
    .flatMap((message, m) => [
      `    case ${m}: {`,
      `      struct m${m}_t v;`,
      `      if (m${m}_unpack(&v, f->data, f->len) != 0) break;`,
      ...message.signals.map(
        (signal, s) => `      ${condition(message, signal, 'v.')}last[${slot++}] = m${m}_s${s}_decode(v.s${s});`,
      ),
      '      break;',
      '    }',
    ])
    .join('\n');
}

function handCases(messages: readonly Message[]): string {
  let slot = 0;
  return messages
    .flatMap((message, m) => {
      const body = handBody(message, slot);
      slot += message.signals.length;
      return [`    case ${m}: {`, `      if (f->len < ${message.length}u) break;`, ...body, '      break;', '    }'];
    })
    .join('\n');
}

/** One load of the payload, turned round where a signal is Motorola; then shift, sign, factor and offset. */
function handBody(message: Message, slot: number): string[] {
  const lines = ['      uint64_t le, be;', '      memcpy(&le, f->data, 8);', '      be = __builtin_bswap64(le);'];
  lines.push('      (void)be; (void)le;');
  for (const [s, signal] of message.signals.entries()) lines.push(`      int64_t s${s} = ${handRaw(signal)};`);
  for (const [s, signal] of message.signals.entries()) {
    lines.push(`      ${handCondition(message, signal)}last[${slot + s}] = ${handValue(signal, s)};`);
  }
  return lines;
}

function handRaw({ start, length, byteOrder, signed, valueType }: Signal): string {
  const motorola = byteOrder === 'motorola';
  const low = motorola ? 64 - ((start & ~7) + 7 - (start & 7)) - length : start;
  const word = motorola ? 'be' : 'le';
  if (signed && valueType === 'integer') return `(int64_t)(${word} << ${64 - low - length}) >> ${64 - length}`;
  return length === 64 ? `(int64_t)${word}` : `(int64_t)((${word} >> ${low}) & ${(1n << BigInt(length)) - 1n}ull)`;
}

function handValue({ factor, offset, length, signed, valueType }: Signal, s: number): string {
  const scaled = (raw: string) => `(double)${raw} * ${factor.toExponential()} + ${offset.toExponential()}`;
  if (valueType === 'float32') return scaled(`((union { uint32_t i; float f; }){ .i = (uint32_t)s${s} }).f`);
  if (valueType === 'float64') return scaled(`((union { int64_t i; double f; }){ .i = s${s} }).f`);
  return scaled(length === 64 && !signed ? `(uint64_t)s${s}` : `s${s}`);
}

function handCondition(message: Message, signal: Signal): string {
  return condition(message, signal, '');
}

function program(messages: readonly Message[], body: string): string {
  return `${prologue(messages)}
static void run(const struct frame *frames, size_t n) {
  for (const struct frame *f = frames; f != frames + n; f++) {
    switch (find(f->id)) {
${body}
    default: break;
    }
  }
}
${epilogue(messages)}`;
}

/** Frames of one counting sort. */
const GROUP_FRAMES = 8192;

function groupedProgram(messages: readonly Message[]): string {
  let slot = 0;
  const loops = messages.map((message, m) => {
    const body = handBody(message, slot).join('\n');
    slot += message.signals.length;
    return `  for (; i < ends[${m}]; i++) {
      const struct frame *f = group + order[i];
      if (f->len < ${message.length}u) continue;
${body}
  }`;
  });
  return `${prologue(messages)}
static uint16_t order[${GROUP_FRAMES}], index_of[${GROUP_FRAMES}];
static uint32_t ends[${messages.length + 1}];
static void decode_group(const struct frame *group, size_t n) {
  memset(ends, 0, sizeof ends);
  for (size_t k = 0; k < n; k++) {
    int m = find(group[k].id);
    index_of[k] = (uint16_t)(m < 0 ? ${messages.length} : m);
    ends[index_of[k]]++;
  }
  for (size_t m = 0, sum = 0; m <= ${messages.length}; m++) {
    size_t count = ends[m];
    ends[m] = (uint32_t)sum;
    sum += count;
  }
  for (size_t k = 0; k < n; k++) order[ends[index_of[k]]++] = (uint16_t)k;
  uint32_t i = 0;
${loops.join('\n')}
}
static void run(const struct frame *frames, size_t n) {
  for (size_t at = 0; at < n; at += ${GROUP_FRAMES}) decode_group(frames + at, n - at < ${GROUP_FRAMES} ? n - at : ${GROUP_FRAMES});
}
${epilogue(messages)}`;
}

const signalCount = (messages: readonly Message[]) => messages.reduce((sum, { signals }) => sum + signals.length, 0);

function prologue(messages: readonly Message[]): string {
  const keys = messages.map((message) => `${idWord(message)}u`).join(', ');
  return `#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "lib.h"
struct frame { uint32_t id; uint8_t len; uint8_t pad[3]; uint8_t data[8]; };
static const uint32_t keys[] = { ${keys} };
static uint16_t slots[65536];
static double last[${signalCount(messages)}];
static uint32_t home(uint32_t id) { return (id * 2654435769u) >> 16; }
static inline int find(uint32_t id) {
  uint32_t at = home(id);
  while (slots[at] != 0 && keys[slots[at] - 1] != id) at = (at + 1) & 65535;
  return (int)slots[at] - 1;
}`;
}

function epilogue(messages: readonly Message[]): string {
  return `int main(int argc, char **argv) {
  FILE *in = fopen(argv[1], "rb");
  fseek(in, 0, SEEK_END);
  size_t n = (size_t)ftell(in) / sizeof(struct frame);
  rewind(in);
  struct frame *frames = malloc(n * sizeof *frames);
  if (fread(frames, sizeof *frames, n, in) != n) return 1;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    uint32_t at = home(keys[i]);
    while (slots[at] != 0) at = (at + 1) & 65535;
    slots[at] = (uint16_t)(i + 1);
  }
  for (size_t i = 0; i < ${signalCount(messages)}; i++) last[i] = NAN;
  for (int pass = 0; pass < atoi(argv[2]); pass++) {
    struct timespec a, b;
    clock_gettime(CLOCK_MONOTONIC, &a);
    run(frames, n);
    clock_gettime(CLOCK_MONOTONIC, &b);
    printf("%.9f\\n", (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) * 1e-9);
  }
  FILE *out = fopen(argv[3], "wb");
  fwrite(last, sizeof *last, ${signalCount(messages)}, out);
  return argc == 4 ? 0 : 1;
}
`;
}

/** Every raw value of a width that is not that of its type, by the length; the generator tests the limits of the database. */
function inRange({ length, signed, valueType }: Signal): string {
  const size = [8, 16, 32, 64].find((bits) => length <= bits)!;
  if (valueType !== 'integer' || length === size) return '(void)value; return 1;';
  if (!signed) return `return value <= ${(1n << BigInt(length)) - 1n}${size === 64 ? 'ull' : 'u'};`;
  const limit = 1n << BigInt(length - 1);
  const suffix = size === 64 ? 'll' : '';
  return `return value >= -${limit}${suffix} && value <= ${limit - 1n}${suffix};`;
}
