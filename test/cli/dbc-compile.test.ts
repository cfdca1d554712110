import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { main } from '#cli/main';

const CAR = `BO_ 256 Engine: 8 ECU
 SG_ Speed : 7|16@0+ (0.25,0) [0|8000] "rpm" ECU
 SG_ Mode M : 16|2@1+ (1,0) [0|3] "" ECU
 SG_ Hot m0 : 24|8@1+ (1,-40) [0|0] "degC" ECU
 SG_ Cold m1 : 24|8@1+ (1,-40) [0|0] "degC" ECU
BO_ 2147484160 Far: 8 ECU
 SG_ Serial : 0|64@1+ (1,0) [0|0] "" ECU
VAL_ 256 Mode 0 "Hot" 1 "Cold" ;
`;
/** What somebody would write who has the four files and nothing of this project. */
const SCRIPT = `import { readFileSync } from 'node:fs';
import { load } from './car.mjs';
const { decode } = load(readFileSync(new URL('./car.wasm', import.meta.url)));
const frames = [
  { id: 256, data: Uint8Array.of(0x0f, 0xa1, 1, 50), timeNs: 1e15 },
  { id: 257, data: Uint8Array.of(0) },
  { id: 512, extended: true, data: Uint8Array.of(255, 255, 255, 255, 255, 255, 255, 255) },
];
for (const { message, timeNs, short, values, labels } of decode(frames)) {
  console.log(message, timeNs, short, JSON.stringify(values, (_, value) => (typeof value === 'bigint' ? \`\${value}n\` : value)), JSON.stringify(labels));
}
`;

const dir = mkdtempSync(join(tmpdir(), 'compile-'));
afterAll(() => rmSync(dir, { recursive: true }));
writeFileSync(join(dir, 'car.dbc'), CAR);

async function compile(...argv: string[]) {
  const seen = { out: '', err: '' };
  const code = await main(['dbc', 'compile', ...argv], {
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

describe('tollgate dbc compile', () => {
  it.each(['scalar', 'simd', 'grouped'])('writes a module that decodes on its own, in the form %s', async (form) => {
    const out = join(dir, form);
    const { code, err } = await compile(join(dir, 'car.dbc'), '--out', out, '--form', form);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(readdirSync(out).sort()).toEqual(['car.d.mts', 'car.json', 'car.mjs', 'car.wasm']);
    writeFileSync(join(out, 'use.mjs'), SCRIPT);
    const args = ['--disallow-code-generation-from-strings', join(out, 'use.mjs')];
    expect(execFileSync(process.execPath, args, { encoding: 'utf8' }).trim().split('\n')).toEqual([
      'Engine 1000000000000000 true {"Speed":1000.25,"Mode":1,"Cold":10} {"Mode":"Cold"}',
      'Far 0 false {"Serial":"18446744073709551615n"} {}',
    ]);
  });

  it('writes types of the values by message', async () => {
    const out = join(dir, 'types');
    await compile(join(dir, 'car.dbc'), '--out', out);
    writeFileSync(
      join(out, 'use.ts'),
      `import { load } from './car.mjs';
for (const frame of load(new Uint8Array()).decode([{ id: 1, data: new Uint8Array(8) }])) {
  if (frame.message === 'Engine') { const speed: number | undefined = frame.values.Speed; void speed; }
  // @ts-expect-error a signal of another message
  if (frame.message === 'Far') void frame.values.Speed;
}
`,
    );
    const tsc = fileURLToPath(new URL('../../node_modules/.bin/tsc', import.meta.url));
    const options = ['--noEmit', '--strict', '--types', '', '--target', 'es2022', '--module', 'nodenext'];
    execFileSync(tsc, [...options, join(out, 'use.ts')], { encoding: 'utf8', cwd: out });
  }, 20_000);

  it('leaves out what is not listed', async () => {
    const out = join(dir, 'some');
    const { out: text } = await compile(join(dir, 'car.dbc'), '--out', out, '--signals', 'Engine.Hot, Far', '--json');
    expect(JSON.parse(text)).toMatchObject({ messages: 2, signals: 2 });
    const manifest = JSON.parse(readFileSync(join(out, 'car.json'), 'utf8'));
    const names = manifest.messages.map((message: { signals: { name: string }[] }) =>
      message.signals.map(({ name }) => name),
    );
    expect(names).toEqual([['Hot'], ['Serial']]);
    expect(manifest.database).toBe('car.dbc');
  });

  it.each([
    [['--signals', 'Engine.Sped'], 'Did you mean Engine.Speed?'],
    [['--form', 'fast'], '--form takes scalar, simd, grouped'],
    [['--out', join('car.dbc', 'x')], 'TG_CLI_FILE'],
  ])('refuses %j', async (options, text) => {
    const given = options[0] === '--out' ? ['--out', join(dir, options[1]!)] : options;
    expect(await compile(join(dir, 'car.dbc'), ...given)).toMatchObject({
      code: 2,
      err: expect.stringContaining(text),
    });
  });
});
