import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { tollgate } from '../system/processes.ts';
import { DBC, type UnitFolder, unitFolder } from '../system/unit-folder.ts';

let unit: UnitFolder;
beforeEach(async () => {
  unit = await unitFolder({ seconds: 1 });
});
afterEach(() => unit.remove());

/** Lines of the log as it is made: Motion 100, Steering 50, Battery 10. */
const LINES = 160;
const DOCUMENTS = () => ['--campaign', unit.file('campaigns/ubi.yaml'), '--agreement', unit.file('agreements/a0.json')];

async function replay(...args: readonly string[]) {
  const child = tollgate(['replay', ...args]);
  return { exit: await child.exited, out: child.stdout(), err: child.stderr() };
}

describe('tollgate replay', () => {
  it('counts and names malformed lines, unknown ids and short frames, and goes on', async () => {
    // Garbage, a payload that is no hex, an id that nobody knows, a frame without its payload; then a good frame.
    const time = '(1767225601.000000) can0';
    appendFileSync(unit.log, `garbage\n${time} 100#zz\n${time} 7FF#01\n${time} 100#01\n${time} 100#0102030000000000\n`);
    const { exit, out, err } = await replay(unit.log, '--dbc', unit.file('car.dbc'), ...DOCUMENTS(), '--json');
    expect(exit).toBe(0);
    expect(err).toContain(`${unit.log}:${LINES + 1}: a line starts with (time); skipped\n`);
    expect(err).toContain(`${unit.log}:${LINES + 2}: the payload is pairs of hex digits; skipped\n`);
    const summary: unknown = JSON.parse(out);
    // Steering is prohibited and Battery not asked for: their frames are as unknown as 7FF.
    expect(summary).toMatchObject({ malformed: 2, short: 1, frames: 102, skipped: 61, admitted: 101, denied: 0 });
  });

  it.each([
    [
      'a number that is none',
      ' SG_ Throttle : 16|8@1+',
      ' SG_ Throttle : 16|x@1+',
      'car.dbc:8:20',
      'expected the length in bits, found "x"',
    ],
    ['a bracket that is missing', '(0.5,0)', '(0.5,0', 'car.dbc:8:32', 'expected ")", found "["'],
  ])('says where a database has %s, and what was expected', async (_, from, to, place, expected) => {
    writeFileSync(unit.file('car.dbc'), DBC.replace(from, to));
    const { exit, err } = await replay(unit.log, '--dbc', unit.file('car.dbc'), ...DOCUMENTS());
    expect(exit).toBe(0);
    expect(err).toContain(place);
    expect(err).toContain(expected);
  });

  it('takes nothing of a file that is no database', async () => {
    const { exit, err } = await replay(unit.log, '--dbc', unit.log, ...DOCUMENTS());
    expect(exit).toBe(2);
    expect(err).toMatch(/drive\.log:1:1 {2}TG_DBC_SYNTAX {2}expected a keyword of the DBC language/);
  });

  it('refuses an agreement with an unknown operand, with its pointer, in words and as JSON', async () => {
    const file = unit.file('agreements/a0.json');
    writeFileSync(file, readFileSync(file, 'utf8').replace('"purpose"', '"auto:vehicleSpead"'));
    const words = await replay(unit.log, '--dbc', unit.file('car.dbc'), ...DOCUMENTS());
    expect(words.exit).toBe(2);
    expect(words.err).toMatch(/a0\.json:\d+:\d+ {2}TG_POLICY_UNKNOWN_OPERAND {2}"auto:vehicleSpead"/);
    expect(words.err).toContain('at /permission/0/constraint/0/leftOperand');
    expect(words.err).toContain('auto:vehicleSpeed');
    const { exit, out } = await replay(unit.log, '--dbc', unit.file('car.dbc'), ...DOCUMENTS(), '--json');
    expect(exit).toBe(2);
    expect(JSON.parse(out)).toMatchObject({
      problems: [{ code: 'TG_POLICY_UNKNOWN_OPERAND', pointer: '/permission/0/constraint/0/leftOperand' }],
    });
  });

  it('ends with 2 where a log is not there or is damaged, and says what came before', async () => {
    const gone = await replay(unit.file('gone.log'), '--dbc', unit.file('car.dbc'), ...DOCUMENTS());
    expect(gone).toMatchObject({ exit: 2, err: expect.stringContaining('TG_LOG_FILE') });
    const packed = gzipSync(readFileSync(unit.log));
    writeFileSync(unit.file('cut.log'), packed.subarray(0, packed.length >> 1));
    const cut = await replay(unit.file('cut.log'), '--dbc', unit.file('car.dbc'), ...DOCUMENTS());
    expect(cut.exit).toBe(2);
    expect(cut.err).toContain('TG_LOG_GZIP');
    expect(cut.err).toContain('frames before the damage were delivered');
  });

  it('puts messages of J1939 and ISO-TP together as a configuration would, and says what became incomplete', async () => {
    // Motion as a group of 14 bytes, Battery as a message of ISO-TP.
    const dbc = DBC.replace('BO_ 256 Motion: 8', 'BO_ 2566834942 Motion: 14').replace('Charge : 0|', 'Charge : 96|');
    writeFileSync(unit.file('truck.dbc'), dbc.replace('BO_ 768 Battery: 4', 'BO_ 768 Battery: 14'));
    const lines = [
      '0.000 18ECFF00#200E0002FFCAFE00',
      '0.010 18EBFF00#0100100000000000',
      '0.020 18EBFF00#0200000000000000',
      '0.030 18ECFF09#200E0002FFCAFE00',
      '0.040 18EBFF09#0100200000000000',
      '0.050 700#100E000000000000',
      '0.060 700#2100000000000000',
      '0.070 700#2200000000000000',
      '5.000 18FECA00#0000000000000000',
      '5.010 700#2300000000000000',
    ];
    writeFileSync(unit.log, lines.map((line) => `(176722560${line.replace(' ', '00) can0 ')}\n`).join(''));
    const run = (...more: string[]) => replay(unit.log, '--dbc', unit.file('truck.dbc'), ...DOCUMENTS(), ...more);
    const every = ['--j1939', 'every', '--isotp', '700,,300'];
    const all = await run(...every, '--json');
    expect(all.exit).toBe(0);
    expect(JSON.parse(all.out).transports).toMatchObject({
      j1939: { complete: 1, timeout: 1, missing: 0, noRoom: 0 },
      withheld: 0,
    });
    const words = await run(...every);
    expect(words.out).toMatch(
      /J1939 +1 messages, 1 incomplete \(1 timed out\), 0 without room, 0 frames malformed, 0 stray/,
    );
    const off = await run('--j1939', 'off', '--json');
    expect(JSON.parse(off.out)).toMatchObject({ rows: 0, transports: { j1939: null, isotp: null } });
    expect(await run('--j1939', 'on')).toMatchObject({ exit: 2, err: expect.stringContaining('TG_CLI_USAGE') });
  });

  it('lets a law pack forbid what the agreement allows', async () => {
    const pack = JSON.parse(readFileSync(unit.file('agreements/a0.json'), 'utf8'));
    const { assigner: _, assignee: __, permission: ___, ...rest } = pack;
    const law = { ...rest, '@type': 'Set', uid: 'urn:tollgate:law:1', conflict: 'prohibit' };
    const prohibition = [{ uid: '#n1', target: 'dbc:Motion.Speed', action: 'use' }];
    writeFileSync(unit.file('law.json'), JSON.stringify({ ...law, prohibition }));
    const args = [unit.log, '--dbc', unit.file('car.dbc'), ...DOCUMENTS(), '--json'];
    const free = JSON.parse((await replay(...args)).out);
    const bound = JSON.parse((await replay(...args, '--law-pack', unit.file('law.json'))).out);
    expect(free.admitted).toBeGreaterThan(bound.admitted);
    expect(JSON.stringify(bound.denials)).toContain('#n1');
  });

  it('says how it is called', async () => {
    expect(await replay(unit.log)).toMatchObject({ exit: 2, err: expect.stringContaining('TG_CLI_USAGE') });
    expect(await replay(unit.log, '--json')).toMatchObject({
      exit: 2,
      err: expect.stringContaining('{"error":{"code":"TG_CLI_USAGE"'),
    });
  });
});
