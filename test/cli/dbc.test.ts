import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { main } from '#cli/main';

const CAR = `VERSION "1"
NS_ :
BS_:
BU_: ECU Gateway
BO_ 256 Engine: 8 ECU
 SG_ Speed : 7|16@0+ (0.25,0) [0|8000] "rpm" Gateway
 SG_ Mode M : 16|2@1+ (1,0) [0|3] "" Gateway
 SG_ Hot m0 : 24|8@1+ (1,-40) [-40|215] "degC" Gateway
 SG_ Cold m1 : 24|8@1+ (1,-40) [-40|215] "degC" Gateway
BO_ 2147484160 Far: 1 Gateway
 SG_ One : 0|8@1- (1,0) [0|0] "" ECU
CM_ SG_ 256 Speed "Of the crank shaft";
BA_DEF_ BO_ "GenMsgCycleTime" INT 0 1000;
BA_DEF_DEF_ "GenMsgCycleTime" 0;
BA_ "GenMsgCycleTime" BO_ 256 20;
VAL_ 256 Mode 0 "Hot" 1 "Cold" ;
`;
/** Line 7: bits shared with Speed. Line 9: a signal beyond its message. */
const BROKEN = `VERSION ""
NS_ :
BS_:
BU_: ECU
BO_ 256 Engine: 2 ECU
 SG_ Speed : 0|16@1+ (1,0) [0|0] "" ECU
 SG_ Twin : 8|8@1+ (1,0) [0|0] "" ECU
BO_ 257 Short: 1 ECU
 SG_ Long : 0|16@1+ (1,0) [0|0] "" ECU
`;

let dir = '';
const at = (name: string) => join(dir, name);
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'dbc-'));
  await writeFile(at('car.dbc'), CAR);
  await writeFile(at('broken.dbc'), BROKEN);
  const next = CAR.replace('(0.25,0)', '(0.5,0)')
    .replace('One :', 'Uno :')
    .replace('"GenMsgCycleTime" BO_ 256 20', '"GenMsgCycleTime" BO_ 256 50');
  await writeFile(at('next.dbc'), next);
});
afterAll(() => rm(dir, { recursive: true }));

async function tollgate(...argv: string[]) {
  const seen = { out: '', err: '' };
  const code = await main(argv, {
    stdin: (async function* () {})(),
    out: (text) => {
      seen.out += text;
    },
    err: (text) => {
      seen.err += text;
    },
    interactive: false,
    signal: new AbortController().signal,
  });
  return { code, ...seen };
}

describe('tollgate dbc list', () => {
  it('lists messages with id, length, cycle time and sender', async () => {
    const { code, out, err } = await tollgate('dbc', 'list', at('car.dbc'));
    expect(code).toBe(0);
    expect(err).toBe('');
    expect(out).toMatch(/^ {2}0x100 +Engine +8 bytes +4 signals +20 ms +ECU$/m);
    expect(out).toMatch(/^ {2}0x00000200 +Far +1 byte +1 signal +Gateway$/m);
  });

  it('lists the signals of the messages named, and says which it has not', async () => {
    const { code, out, err } = await tollgate('dbc', 'list', at('car.dbc'), 'Engine', 'Engin');
    expect(code).toBe(1);
    expect(out).toMatch(/Speed +rpm +Of the crank shaft/);
    expect(out).not.toContain('Far');
    expect(err).toContain('has no message Engin\n');
  });

  it('writes JSON lines', async () => {
    const { out } = await tollgate('dbc', 'list', at('car.dbc'), '--json');
    const [engine, far] = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(engine).toMatchObject({ name: 'Engine', id: 256, ext: false, length: 8, cycleMs: 20, senders: ['ECU'] });
    expect(far).toMatchObject({ id: 512, ext: true, cycleMs: null, signals: ['One'] });
  });

  it('says that a broken file was mended', async () => {
    const { err } = await tollgate('dbc', 'list', at('broken.dbc'));
    expect(err).toBe(`${at('broken.dbc')}: 2 errors were mended while reading; tollgate dbc lint tells which.\n`);
  });
});

describe('tollgate dbc dump', () => {
  it('draws each bit and tells scale, branch and labels', async () => {
    const { code, out } = await tollgate('dbc', 'dump', at('car.dbc'), 'Engine');
    expect(code).toBe(0);
    expect(out).toContain(`  byte  7 6 5 4 3 2 1 0
     0  A A A A A A A A
     1  A A A A A A A A
     2  . . . . . . B B
     3  * * * * * * * *
     4  . . . . . . . .
`);
    expect(out).toMatch(/A {2}Speed +7\|16 +Motorola +unsigned +× 0\.25 \+ 0 +0 to 8000 +rpm/);
    expect(out).toMatch(/C {2}Hot +Mode = 0 +24\|8 +Intel +unsigned/);
    expect(out).toMatch(/Mode +0 Hot, 1 Cold/);
    expect(out).not.toContain('Far');
  });
});

describe('tollgate dbc lint', () => {
  it('names file, line, column, severity, code and fix of each finding', async () => {
    const { code, out, err } = await tollgate('dbc', 'lint', at('broken.dbc'));
    expect(code).toBe(1);
    const heads = out.split('\n').filter((line) => line.startsWith(dir));
    expect(heads.map((line) => line.slice(at('broken.dbc').length).split(/:\d+ {2}/)[0])).toEqual([':7', ':9']);
    expect(heads[0]).toMatch(/ {2}error {2}TG_DBC_OVERLAP {2}.*Twin.*Speed/);
    expect(heads[1]).toMatch(/ {2}error {2}TG_DBC_FIT {2}.*Long/);
    for (const fix of out.split('\n').filter((line) => line.startsWith('   '))) expect(fix.trim()).not.toBe('');
    expect(err).toBe('2 errors, 0 warnings\n');
  });

  it('is content with a clean file', async () => {
    expect(await tollgate('dbc', 'lint', at('car.dbc'))).toEqual({ code: 0, out: '', err: '0 errors, 0 warnings\n' });
  });

  it('takes warnings for errors when strict', async () => {
    await writeFile(at('untidy.dbc'), CAR.replace('[0|8000]', '[9000|0]'));
    expect((await tollgate('dbc', 'lint', at('untidy.dbc'))).code).toBe(0);
    expect((await tollgate('dbc', 'lint', '--strict', at('untidy.dbc'))).code).toBe(1);
  });

  it('gives the same as JSON', async () => {
    const { out } = await tollgate('dbc', 'lint', '--json', at('broken.dbc'));
    const [first] = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(first).toMatchObject({ severity: 'error', code: 'TG_DBC_OVERLAP', file: at('broken.dbc'), line: 7 });
    expect(first.remedy).not.toBe('');
  });

  it('refuses what is no database', async () => {
    await writeFile(at('none.dbc'), 'hello\n');
    const { code, err } = await tollgate('dbc', 'lint', at('none.dbc'));
    expect(code).toBe(2);
    expect(err).toContain(`${at('none.dbc')}:1:1  TG_DBC_`);
  });
});

describe('tollgate dbc diff', () => {
  it('says in words what changed', async () => {
    const { code, out } = await tollgate('dbc', 'diff', at('car.dbc'), at('next.dbc'));
    expect(code).toBe(1);
    expect(out.trim().split('\n')).toEqual([
      'message Engine: attribute GenMsgCycleTime was 20, is 50',
      'signal Engine.Speed: factor was 0.25, is 0.5',
      'signal Far.One was renamed Uno',
    ]);
  });

  it('leaves out what no frame depends on, when asked', async () => {
    const { out } = await tollgate('dbc', 'diff', '--meaning', at('car.dbc'), at('next.dbc'));
    expect(out).not.toContain('GenMsgCycleTime');
    expect(out).toContain('factor');
  });

  it('finds no difference between a file and itself', async () => {
    expect(await tollgate('dbc', 'diff', at('car.dbc'), at('car.dbc'))).toMatchObject({
      code: 0,
      out: 'Nothing differs.\n',
    });
  });

  it('gives the same as JSON', async () => {
    const { out } = await tollgate('dbc', 'diff', '--json', at('car.dbc'), at('next.dbc'));
    expect(
      out
        .split('\n')
        .filter(Boolean)
        .map((line) => JSON.parse(line)),
    ).toContainEqual({
      kind: 'renamed',
      isMeaning: true,
      subject: 'Far.Uno',
      text: 'signal Far.One was renamed Uno',
    });
  });
});

describe('tollgate dbc convert', () => {
  it('writes DBC that means the same and that strict reading takes', async () => {
    expect((await tollgate('dbc', 'convert', at('car.dbc'), at('again.dbc'))).code).toBe(0);
    expect((await tollgate('dbc', 'diff', at('car.dbc'), at('again.dbc'))).out).toBe('Nothing differs.\n');
    expect((await tollgate('dbc', 'lint', at('again.dbc'))).code).toBe(0);
  });

  it('writes the model as JSON', async () => {
    expect((await tollgate('dbc', 'convert', at('car.dbc'), at('car.json'))).code).toBe(0);
    const { messages } = JSON.parse(await readFile(at('car.json'), 'utf8'));
    expect(messages[0]).toMatchObject({ name: 'Engine', attributes: { GenMsgCycleTime: 20 } });
    expect(messages[0].signals[1].labels).toEqual([
      { value: '0', text: 'Hot' },
      { value: '1', text: 'Cold' },
    ]);
  });

  it('reads the encoding that it is told', async () => {
    await writeFile(at('german.dbc'), Buffer.from(CAR.replace('Of the crank shaft', '\u00b0C \u00fcber'), 'latin1'));
    const { out } = await tollgate(
      'dbc',
      'convert',
      '--encoding',
      'windows-1252',
      '--to',
      'dbc',
      at('german.dbc'),
      '-',
    );
    expect(out).toContain('"\u00b0C \u00fcber"');
  });

  it('refuses a form and an encoding that it does not know', async () => {
    expect((await tollgate('dbc', 'convert', at('car.dbc'), at('car.kcd'))).err).toContain('writes dbc or json');
    expect((await tollgate('dbc', 'list', at('car.dbc'), '--encoding', 'ebcdic')).err).toContain('not "ebcdic"');
  });
});

describe('tollgate dbc types', () => {
  it('types the values of a frame by the name of its message', async () => {
    const { out } = await tollgate('dbc', 'types', at('car.dbc'));
    expect(out).toContain(`export interface Engine {
  /** Of the crank shaft. Unit: rpm. */
  readonly Speed: number;
  readonly Mode: number;
  /** Unit: degC. */
  readonly Hot?: number;`);
    expect(out).toContain('export interface Messages {\n  Engine: Engine;\n  Far: Far;\n}');
    expect(out).toContain('"Engine.Mode": "Hot" | "Cold";');
  });

  it('writes a file that is named', async () => {
    expect((await tollgate('dbc', 'types', at('car.dbc'), '--out', at('car.d.ts'))).code).toBe(0);
    expect(await readFile(at('car.d.ts'), 'utf8')).toBe((await tollgate('dbc', 'types', at('car.dbc'))).out);
  });
});

describe('each dbc command', () => {
  const commands = ['list', 'dump', 'lint', 'diff', 'convert', 'types'];

  it.each(commands)('%s shows help with an example', async (name) => {
    const { code, out } = await tollgate('dbc', name, '--help');
    expect(code).toBe(0);
    expect(out).toContain(`Example:\n  tollgate dbc ${name} `);
  });

  it.each(commands)('%s asks for its files, and says which it cannot read', async (name) => {
    expect(await tollgate('dbc', name)).toMatchObject({ code: 2, err: expect.stringContaining('TG_CLI_USAGE') });
    const files = [at('nowhere.dbc'), at('nowhere.json')].slice(0, name === 'diff' || name === 'convert' ? 2 : 1);
    const { code, err } = await tollgate('dbc', name, ...files);
    expect(code).toBe(2);
    expect(err).toContain(`${at('nowhere.dbc')}  TG_CLI_FILE`);
  });
});
