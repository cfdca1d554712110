import { describe, expect, it } from 'vitest';
import { TollgateError } from '#contracts';
import { parseConfig } from '../../agent/config/load.ts';
import schema from '../../agent/config/schema.json' with { type: 'json' };

const parse = (uplink: string) =>
  parseConfig(
    `version: 1
unit: { state: ./state, keys: ./keys }
sources: [{ name: can0, type: candump, path: drive.log, dbc: drive.dbc }]
documents: { campaigns: [], agreements: [] }
uplink: { url: "mqtts://broker:8883", tenant: t1${uplink} }
`,
    '/etc/tollgate/tollgate.yaml',
  ).uplink!;

describe('the uplink in the configuration', () => {
  it('has defaults that serve a car', () => {
    expect(parse('')).toEqual({
      url: 'mqtts://broker:8883',
      tenant: 't1',
      protocol: 5,
      window: 64,
      network: 'default',
      keepalive: 30,
      sessionExpiryS: 7 * 86_400,
      willDelayS: 30,
      messageExpiryS: 3_600,
    });
  });

  it('takes rates and times with their units', () => {
    const text =
      ', bandwidth: 64KiB/s, network: lte, keepalive: 300, sessionExpiry: 12h, willDelay: 2min, messageExpiry: 0s';
    expect(parse(text)).toMatchObject({
      bandwidth: 65_536,
      network: 'lte',
      keepalive: 300,
      sessionExpiryS: 43_200,
      willDelayS: 120,
      messageExpiryS: 0,
    });
    expect(parse(', bandwidth: 2MiB/s').bandwidth).toBe(2 * 2 ** 20);
  });

  it('keeps the place of the pseudonym in the paths of the certificate', () => {
    expect(parse(', cert: "certs/{pseudonym}.pem"').cert).toBe('/etc/tollgate/certs/{pseudonym}.pem');
  });

  it.each([
    'bandwidth: 0KiB/s',
    'bandwidth: 64KiB',
    'bandwidth: 64kb/s',
    'network: "LTE 4"',
    'keepalive: 0',
    'sessionExpiry: 31d',
    'sessionExpiry: 7w',
    'willDelay: 30',
    'messageExpiry: 1d',
  ])('refuses %s', (text) => {
    expect(() => parse(`, ${text}`)).toThrow(TollgateError);
  });

  it('describes every key', () => {
    for (const [key, { title, description }] of Object.entries(schema.properties.uplink.properties)) {
      expect(title, key).toMatch(/^[A-Z]/);
      expect(description, key).toMatch(/\S \S.*\.$/);
    }
  });
});
