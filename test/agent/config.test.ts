import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { loadMapping } from '#dbc';
import { parseConfig } from '../../agent/config/load.ts';

const whole = `version: 1
unit: { role: vehicle, state: ./state, keys: ./keys/unit }
sources: [{ name: can0, type: candump, path: drive.log, dbc: drive.dbc }]
context: { ignition: assume-on }
documents: { campaigns: [c.yaml], agreements: [a.json] }
store: { maxBytes: 2MiB, groupCommit: 250ms }
uplink: { url: "mqtts://broker:8883", tenant: t1, ca: ca.pem }
`;
const parse = (text: string) => parseConfig(text, '/etc/tollgate/tollgate.yaml');

function refused(text: string): TollgateError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof TollgateError) return error;
    throw error;
  }
  throw new Error('the configuration was taken');
}

describe('the configuration', () => {
  it('has paths relative to its file, and defaults filled in', () => {
    const config = parse(whole);
    expect(config.unit).toEqual({ role: 'vehicle', state: '/etc/tollgate/state', keys: '/etc/tollgate/keys/unit' });
    expect(config.sources[0]).toMatchObject({ path: '/etc/tollgate/drive.log', realtime: false });
    expect(config.store).toEqual({ maxBytes: 2 * 2 ** 20, groupCommitMs: 250 });
    expect(config.uplink).toMatchObject({ protocol: 5, window: 64, ca: '/etc/tollgate/ca.pem' });
    expect(config.documents.lawPacks).toEqual([]);
  });

  it('does without a store section and without an uplink', () => {
    const config = parse(whole.split('\n').slice(0, 5).join('\n'));
    expect(config.store).toEqual({ maxBytes: 64 * 2 ** 20, groupCommitMs: 1000 });
    expect(config.uplink).toBeNull();
  });

  it('may say how long leaves are kept and what one recipient may have waiting', () => {
    const { store } = parse(
      whole.replace('groupCommit: 250ms', 'groupCommit: 250ms, retention: 30d, recipientBytes: 1MiB'),
    );
    expect(store).toMatchObject({ keepLeavesMs: 30 * 24 * 3_600_000, maxRecipientBytes: 2 ** 20 });
    expect(refused(whole.replace('250ms', '250ms, retention: 30')).place).toMatchObject({
      pointer: '/store/retention',
    });
  });

  it('suggests the nearest valid key for one that it does not know, with its place', () => {
    const error = refused(whole.replace('state:', 'stat:'));
    expect(error).toMatchObject({
      code: 'TG_CONFIG_UNKNOWN_KEY',
      remedy: 'Did you mean "state"?',
      place: { line: 2, column: 24, pointer: '/unit/stat' },
    });
  });

  it.each([
    ['a word that is none of the choices', ['role: vehicle', 'role: vehcile'], '/unit/role', /Did you mean "vehicle"/],
    ['a number out of its range', ['tenant: t1', 'tenant: t1, window: 0'], '/uplink/window', /./],
    ['text that does not have the form', ['maxBytes: 2MiB', 'maxBytes: 2 megabytes'], '/store/maxBytes', /./],
    ['a list where a map is wanted', ['context: { ignition: assume-on }', 'context: [ignition]'], '/context', /./],
    ['another version', ['version: 1', 'version: 2'], '/version', /./],
    [
      'an empty list of sources',
      ['sources: [{ name: can0, type: candump, path: drive.log, dbc: drive.dbc }]', 'sources: []'],
      '/sources',
      /./,
    ],
    ['a log without a path', ['path: drive.log, ', ''], '/sources/0', /./],
    ['a pattern over folders', ['[c.yaml]', '["**/c.yaml"]'], '/documents', /./],
  ])('refuses %s', (_, [from, to], pointer, remedy) => {
    const error = refused(whole.replace(from!, to!));
    expect(error.code).toBe('TG_CONFIG_VALUE');
    expect(error.place.pointer).toBe(pointer);
    expect(error.remedy).toMatch(remedy);
  });

  it('takes the sources of docs/can.md as they stand there', () => {
    const page = readFileSync(new URL('../../docs/can.md', import.meta.url), 'utf8');
    const [sources] = /(?<=```yaml\n)sources:[\s\S]*?(?=```)/.exec(page)!;
    const [source] = parse(whole.replace(/^sources.*\n/m, sources)).sources;
    expect(source).toMatchObject({ interface: 'can0', encoding: 'gb18030', j1939: 'declared' });
    expect(source!.isotp).toEqual([
      { id: 0x7e8, flow: 0x7e0, content: 'obd' },
      { id: 0x18daf110, flow: 0x18da10f1, message: 0x710 },
      { id: 0x6f1, address: 0x12, message: 0x711 },
    ]);
    const [mapping] = /(?<=```yaml\n# mapping.yaml)[\s\S]*?(?=```)/.exec(page)!;
    expect(loadMapping(`#${mapping}`, { file: 'mapping.yaml' })).toHaveLength(4);
  });

  it('takes several logs, which have a common time, and one simulation, which has none', () => {
    const source = '{ name: can0, type: candump, path: drive.log, dbc: drive.dbc }';
    const second = source.replace('can0', 'can1');
    expect(parse(whole.replace(source, `${source}, ${second}`)).sources).toHaveLength(2);
    const error = refused(whole.replace(source, `${source}, ${second.replace('candump', 'simulator')}`));
    expect(error).toMatchObject({ code: 'TG_CONFIG_VALUE', place: { pointer: '/sources/1' } });
  });

  it('takes several live interfaces, and none beside a log', () => {
    const source = '{ name: can0, type: candump, path: drive.log, dbc: drive.dbc }';
    const live =
      '{ name: can0, type: can, dbc: drive.dbc }, { name: chassis, interface: can1, fd: true, type: can, dbc: drive.dbc }';
    expect(parse(whole.replace(source, live)).sources).toMatchObject([
      { type: 'can', fd: false, driver: 'native', idBudget: 2000 },
      { name: 'chassis', interface: 'can1', fd: true },
    ]);
    const error = refused(whole.replace(source, `${source}, { name: can1, type: can, dbc: drive.dbc }`));
    expect(error).toMatchObject({ code: 'TG_CONFIG_VALUE', place: { pointer: '/sources/1' } });
  });

  it('refuses what is missing, what stands twice and what is no YAML, with line and column', () => {
    expect(refused(whole.replace(/^documents.*$/m, ''))).toMatchObject({ code: 'TG_CONFIG_VALUE' });
    expect(refused(`${whole}version: 1\n`)).toMatchObject({ code: 'TG_CONFIG_SYNTAX', place: { line: 8 } });
    expect(refused('unit: {')).toMatchObject({ code: 'TG_CONFIG_SYNTAX', place: { line: 1 } });
    expect(refused(`${whole}---\nversion: 1\n`)).toMatchObject({ code: 'TG_CONFIG_SYNTAX' });
  });
});
