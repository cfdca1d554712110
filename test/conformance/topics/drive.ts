import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { part } from '../../parts.ts';
import { type DriveCase, RESULTS, readCase } from '../drive/case.ts';
import { LeakSearch } from '../drive/leaks.ts';
import { oracleFrames, oracleSamples, oracleSignals, oracleWindows } from '../drive/oracle.ts';
import { type Played, playDrive } from '../drive/play.ts';
import type { TopicResult } from '../topic.ts';

// A real drive from the log to a separate receiver over a real broker, under an agreement that permits a few signals and
// denies others. What came out is compared with values computed from the DBC's text alone, and the denied column is
// looked for in every byte that any part left anywhere.

export const topic = 'drive';

interface Verdict {
  equal: number;
  total: number;
  readonly problems: string[];
}

export async function run(dir: string): Promise<TopicResult> {
  const mosquitto = part('mosquitto');
  if (mosquitto === null) {
    return {
      line: 'drive: mosquitto is missing (apt-get install mosquitto)',
      passed: 0,
      failed: 0,
      skipped: 1,
      problems: [],
    };
  }
  const drive = readCase(join(dir, 'drive'));
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-drive-'));
  try {
    const played = await playDrive(drive, folder, mosquitto);
    const values = compareValues(drive, played);
    const checks = new Checks();
    checks.that(played.agentExit === 0, `the agent ended with ${played.agentExit}: ${played.messages.slice(-1500)}`);
    checks.that(played.receiverExit === 0, `the receiver ended with ${played.receiverExit}`);
    checkProofs(folder, played, checks);
    checkMeter(folder, played, checks);
    const leaks = searchLeaks(drive, played, checks);
    const marked = await playMarked(drive, mosquitto, checks);
    const line = `drive: ${values.equal} of ${values.total} equal, ${checks.right} of ${checks.total} checks (proofs, meter, leaks in ${leaks} places, markers in ${marked})`;
    const problems = [...values.problems, ...checks.problems];
    return {
      line,
      passed: values.equal + checks.right,
      failed: values.total - values.equal + (checks.total - checks.right),
      skipped: 0,
      problems,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

class Checks {
  right = 0;
  total = 0;
  readonly problems: string[] = [];

  that(holds: boolean, problem: string): void {
    this.total++;
    if (holds) this.right++;
    else this.problems.push(problem);
  }
}

/** Every result of every window, to the last bit; nothing missing, nothing extra. */
function compareValues(drive: DriveCase, played: Played): Verdict {
  const signals = oracleSignals(drive.dbc);
  const frames = oracleFrames(drive.log);
  const expected = new Map<string, number>();
  for (const name of drive.permit) {
    for (const window of oracleWindows(signals.get(name)!, frames, drive.windowS)) {
      for (const result of RESULTS) expected.set(`${name} ${window.window} ${result}`, window[result]);
    }
  }
  const verdict: Verdict = { equal: 0, total: expected.size, problems: [] };
  for (const { time_ms: timeMs, window_ms: windowMs, values } of played.rows) {
    const window = timeMs / (drive.windowS * 1000);
    for (const [signal, results] of Object.entries(values)) {
      for (const [result, value] of Object.entries(results)) {
        const key = `${signal.replace(/^dbc:/, '')} ${window} ${result}`;
        const wanted = expected.get(key);
        expected.delete(key);
        if (windowMs === drive.windowS * 1000 && wanted === value) verdict.equal++;
        else {
          verdict.problems.push(`${key}: received ${value}, computed ${wanted ?? 'nothing'}`);
          // A value that nobody computed is one more comparison, and a failed one.
          if (wanted === undefined) verdict.total++;
        }
      }
    }
  }
  for (const [key, value] of expected) verdict.problems.push(`${key}: computed ${value}, received nothing`);
  return verdict;
}

/** The receiver proved every record that it has, and the ledger verifies offline. */
function checkProofs(folder: string, played: Played, checks: Checks): void {
  const opened = new Set(played.rows.map(({ stream, seq }) => `${stream} ${seq}`));
  const database = new Database(join(folder, 'receiver.sqlite'), { readonly: true });
  try {
    const stored = database.prepare('SELECT count(*) FROM records').pluck().get();
    checks.that(stored === opened.size, `the receiver stored ${stored} records and wrote rows of ${opened.size}`);
    const unproven = database.prepare(UNPROVEN).pluck().get();
    checks.that(
      unproven === 0 && opened.size > 0,
      `${unproven} of ${opened.size} records have no valid inclusion proof`,
    );
  } finally {
    database.close();
  }
  const cli = new URL('../../../cli/tollgate.mjs', import.meta.url).pathname;
  const verified = spawnSync(
    process.execPath,
    [cli, 'verify', join(folder, 'state', 'tollgate.sqlite'), '--keys', join(folder, 'keys', 'recipient')],
    {
      encoding: 'utf8',
    },
  );
  checks.that(verified.status === 0, `the ledger does not verify: ${verified.stdout}${verified.stderr}`);
}

const UNPROVEN = 'SELECT count(*) FROM records r JOIN streams s ON s.id = r.stream_id WHERE r.seq > s.proven_seq';

/** Samples in the meter = values that the receiver opened; records likewise. */
function checkMeter(folder: string, played: Played, checks: Checks): void {
  const database = new Database(join(folder, 'state', 'tollgate.sqlite'), { readonly: true });
  try {
    const [records, samples] = database.prepare('SELECT sum(records), sum(samples) FROM meter').raw().get() as [
      number,
      number,
    ];
    const received = played.rows.reduce((sum, { values }) => sum + Object.keys(values).length, 0);
    const streams = new Set(played.rows.map(({ stream, seq }) => `${stream} ${seq}`)).size;
    checks.that(samples === received, `the meter says ${samples} samples, the receiver opened ${received}`);
    checks.that(records === streams, `the meter says ${records} records, the receiver opened ${streams}`);
  } finally {
    database.close();
  }
}

/** The denied column is nowhere; and the search is not blind: a leak planted in each place is found. */
function searchLeaks(drive: DriveCase, played: Played, checks: Checks): number {
  const frames = oracleFrames(drive.log);
  const signals = oracleSignals(drive.dbc);
  for (const name of drive.deny) {
    const signal = signals.get(name)!;
    const raw = oracleSamples(signal, frames).map((sample) => Number(sample.raw));
    const physical = raw.map((value) => value * signal.factor + signal.offset);
    const width = signal.bits > 16 ? 4 : signal.bits > 8 ? 2 : 1;
    const search = new LeakSearch(raw, physical, width);
    checks.that(search.runs > 0, `${name} never moves in this log: nothing can be looked for`);
    for (const [place, bytes] of played.places) {
      const found = search.search(bytes);
      checks.that(found.length === 0, `${name} shows in ${place}: ${found.join(', ')}`);
    }
    const run = raw.findIndex((_, i) => new Set(raw.slice(i, i + 8)).size === 8);
    const start = run < 0 ? raw.findIndex((_, i) => new Set(raw.slice(i, i + 8)).size >= 4) : run;
    const planted = [
      { how: 'words', leak: wordsOf(raw.slice(start, start + 8), width) },
      {
        how: 'text',
        leak: Buffer.from(
          physical
            .slice(start, start + 24)
            .map((value) => `{"value":${value}}`)
            .join('\n'),
        ),
      },
    ];
    for (const [place, bytes] of played.places) {
      for (const { how, leak } of planted) {
        const found = search.search(Buffer.concat([bytes, Buffer.of(0), leak]));
        checks.that(found.length > 0, `a leak of ${name} as ${how}, planted in ${place}, was not found`);
      }
    }
  }
  return played.places.size;
}

function wordsOf(values: readonly number[], width: 1 | 2 | 4): Buffer {
  const bytes = Buffer.alloc(values.length * width);
  for (const [i, value] of values.entries()) bytes.writeIntLE(value, i * width, width);
  return bytes;
}

const MARKERS = 8;
const MARKER_FRAMES = 4;

/** Once more with 64-bit markers in the denied signal, each across four frames: no part of the path may hold one. */
async function playMarked(drive: DriveCase, mosquitto: string, checks: Checks): Promise<number> {
  const signals = oracleSignals(drive.dbc);
  const denied = drive.deny
    .map((name) => signals.get(name)!)
    .filter(({ bits, start, intel }) => bits === 16 && start % 8 === 0 && intel);
  const folder = mkdtempSync(join(tmpdir(), 'tollgate-marked-'));
  try {
    const markers: Uint8Array[] = [];
    let log = readFileSync(drive.log, 'latin1');
    for (const signal of denied) {
      const id = signal.id.toString(16).toUpperCase().padStart(3, '0');
      let frame = 0;
      const pieces = Array.from({ length: MARKERS }, (_, i) =>
        Uint8Array.from({ length: 8 }, (_, k) => 0x90 + ((i * 37 + k * 11) % 101)),
      );
      markers.push(...pieces);
      log = log.replace(new RegExp(`( ${id}#)([0-9A-F]+)`, 'g'), (whole, head: string, data: string) => {
        const marker = pieces[Math.floor(frame / MARKER_FRAMES) % MARKERS]!;
        const at = (frame % MARKER_FRAMES) * 2;
        frame++;
        const offset = (signal.start / 8) * 2;
        if (data.length < offset + 4) return whole;
        const word = Buffer.from(marker.subarray(at, at + 2))
          .toString('hex')
          .toUpperCase();
        return `${head}${data.slice(0, offset)}${word}${data.slice(offset + 4)}`;
      });
    }
    if (markers.length === 0) return 0;
    const marked = join(folder, 'marked.log');
    writeFileSync(marked, log, 'latin1');
    const run = join(folder, 'run');
    mkdirSync(run);
    const played = await playDrive({ ...drive, log: marked }, run, mosquitto);
    checks.that(played.agentExit === 0 && played.rows.length > 0, 'the marked drive did not run');
    for (const [place, bytes] of played.places) {
      const found = markers.filter((marker) => shows(bytes, marker));
      checks.that(found.length === 0, `${found.length} markers of a denied signal show in ${place}`);
      checks.that(
        shows(Buffer.concat([bytes, markers[0]!]), markers[0]!),
        `a marker planted in ${place} was not found`,
      );
    }
    return played.places.size;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** As bytes, hexadecimal, decimal or base64. */
function shows(bytes: Uint8Array, marker: Uint8Array): boolean {
  const haystack = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const needle = Buffer.from(marker);
  const hex = needle.toString('hex');
  const forms = [
    needle,
    Buffer.from(needle).reverse(),
    Buffer.from(hex),
    Buffer.from(hex.toUpperCase()),
    Buffer.from(needle.readBigUInt64LE().toString()),
    Buffer.from(needle.readBigUInt64BE().toString()),
    Buffer.from(needle.toString('base64').slice(0, 10)),
  ];
  return forms.some((form) => haystack.includes(form));
}
