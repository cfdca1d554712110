import { CandumpParser } from '../candump/parser.ts';
import { AscReader } from './asc.ts';
import { BlfReader } from './blf.ts';
import { GvretReader } from './gvret.ts';
import { PcapReader } from './pcap.ts';
import { PcapngReader } from './pcapng.ts';
import { PlainReader } from './plain.ts';
import type { LogOptions, LogReader } from './reader.ts';

export interface LogFormat {
  readonly name: 'candump' | 'candump-plain' | 'asc' | 'blf' | 'csv' | 'pcap' | 'pcapng';
  /** What the places of malformed input count. */
  readonly place: 'line' | 'byte';
  readonly make: (options: LogOptions) => LogReader;
}

export const LOG_FORMATS: readonly LogFormat[] = [
  { name: 'candump', place: 'line', make: (options) => new CandumpParser(options) },
  { name: 'candump-plain', place: 'line', make: (options) => new PlainReader(options) },
  { name: 'asc', place: 'line', make: (options) => new AscReader(options) },
  { name: 'blf', place: 'byte', make: (options) => new BlfReader(options) },
  { name: 'csv', place: 'line', make: (options) => new GvretReader(options) },
  { name: 'pcap', place: 'byte', make: (options) => new PcapReader(options) },
  { name: 'pcapng', place: 'byte', make: (options) => new PcapngReader(options) },
];

/** What the first bytes of binary logs are, in hex. */
const MAGICS: readonly (readonly [string, LogFormat['name']])[] = [
  ['4c4f4747', 'blf'],
  ['0a0d0d0a', 'pcapng'],
  ['a1b2c3d4', 'pcap'],
  ['d4c3b2a1', 'pcap'],
  ['a1b23c4d', 'pcap'],
  ['4d3cb2a1', 'pcap'],
];

/** What a line looks like; the first line that fits one of them decides. */
const LINES: readonly (readonly [RegExp, LogFormat['name']])[] = [
  [/^\s*\(\d+\.\d+\)\s+\S+\s+[0-9a-f]+#/i, 'candump'],
  [/^\s*(\([^)]*\)\s+)?\S+\s+(\S+\s+){0,3}[0-9a-f]{3,8}\s+\[\d{1,2}\]/i, 'candump-plain'],
  [/^\s*time ?stamp,/i, 'csv'],
  [/^\s*\d+(\.\d+)?,[0-9a-f]{1,8},(true|false),/i, 'csv'],
  [/^\s*(date\s+\S+\s+\S+\s+\d|base\s+(hex|dec)\b|begin\s+triggerblock)/i, 'asc'],
  [/^\s*\d+\.\d+\s+(canfd\s|\d+\s+(\S+\s+(rx|tx)|errorframe))/i, 'asc'],
];

const NAMES: readonly (readonly [string, LogFormat['name']])[] = [
  ['.asc', 'asc'],
  ['.blf', 'blf'],
  ['.csv', 'csv'],
  ['.pcap', 'pcap'],
  ['.pcapng', 'pcapng'],
];

/**
 * Format of a log by its first bytes (unpacked), where they do not tell by its name, else candump.
 *
 * @param head some lines, or all that there is
 */
export function logFormat(head: Uint8Array, name = ''): LogFormat {
  const magic = Array.from(head.subarray(0, 4), (byte) => byte.toString(16).padStart(2, '0')).join('');
  const lines = new TextDecoder('latin1').decode(head.subarray(0, MOST_HEAD_BYTES)).split('\n');
  const byLine = () => {
    for (const line of lines) {
      for (const [form, format] of LINES) if (form.test(line.slice(0, MOST_LINE))) return format;
    }
    return undefined;
  };
  const plainName = name.toLowerCase().replace(/\.gz$/, '');
  const found =
    MAGICS.find(([bytes]) => bytes === magic)?.[1] ??
    byLine() ??
    NAMES.find(([ending]) => plainName.endsWith(ending))?.[1] ??
    'candump';
  return LOG_FORMATS.find(({ name: format }) => format === found)!;
}

/** Bytes of a log from which its format is told. */
export const MOST_HEAD_BYTES = 4096;
const MOST_LINE = 200;
