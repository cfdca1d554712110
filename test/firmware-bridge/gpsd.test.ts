import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Gpsd, type GpsdFix, LineReader, MOST_LINE_BYTES, openGpsd, readFix } from '../../firmware-bridge/gpsd.ts';
import { part } from '../parts.ts';
import { freePort } from '../system/processes.ts';

const TPV =
  '{"class":"TPV","device":"/dev/ttyS0","mode":3,"time":"2026-11-25T12:00:01.250Z","ept":0.005,"lat":48.137154,"lon":11.576124,"altMSL":519.1,"eph":4.2,"track":90.5,"speed":13.9}';
const NONE = { utcNs: null, timeErrorNs: null, latitude: null, longitude: null, horizontalError: null };
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
});

describe('a report of gpsd', () => {
  it('gives time, position and their errors', () => {
    expect(readFix(TPV)).toEqual({
      mode: 3,
      utcNs: BigInt(Date.UTC(2026, 10, 25, 12, 0, 1, 250)) * 1_000_000n,
      timeErrorNs: 5e6,
      latitude: 48.137154,
      longitude: 11.576124,
      horizontalError: 4.2,
      altitude: 519.1,
      heading: 90.5,
      speed: 13.9,
    });
  });

  it('keeps nine decimals of the time', () => {
    expect(readFix('{"class":"TPV","mode":2,"time":"1970-01-01T00:00:01.000000001Z"}')?.utcNs).toBe(1_000_000_001n);
  });

  it.each([
    '{"class":"TPV","mode":1}',
    '{"class":"TPV","mode":1,"lat":91,"lon":10}',
    '{"class":"TPV","mode":1,"lat":10}',
    '{"class":"TPV","mode":1,"lat":"48","lon":"11","time":"yesterday","ept":-1}',
    '{"class":"TPV","mode":1,"time":"2026-13-45T99:00:00Z","lat":null,"lon":1e999}',
  ])('says nothing where it has nothing, or something impossible: %s', (line) => {
    expect(readFix(line)).toMatchObject({ mode: 1, ...NONE });
  });

  it.each(['{"class":"SKY","satellites":[]}', '{"class":"VERSION"}', '[]', 'null', '', '{"class":"TPV"', '$GPGGA,,,'])(
    'is nothing else: %s',
    (line) => expect(readFix(line)).toBeNull(),
  );

  it('never throws and never tells what no receiver can measure, whatever the bytes', () => {
    let seed = 7;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    for (let round = 0; round < 20_000; round++) {
      const bytes = Buffer.from(TPV);
      for (let i = 0; i <= random(6); i++) bytes[random(bytes.length)] = random(256);
      const fix = readFix(bytes.subarray(0, bytes.length - (random(3) === 0 ? random(40) : 0)).toString('latin1'));
      if (fix === null) continue;
      for (const [value, most] of [
        [fix.latitude, 90],
        [fix.longitude, 180],
        [fix.heading, 360],
      ] as const)
        expect(value === null || Math.abs(value) <= most).toBe(true);
      expect([0, 1, 2, 3]).toContain(fix.mode);
      expect((fix.latitude === null) === (fix.longitude === null)).toBe(true);
    }
  });
});

describe('lines of a connection', () => {
  it('are the same however the bytes are cut', () => {
    const bytes = Buffer.from('one\r\ntwo\n\nthree\n');
    for (let size = 1; size <= bytes.length; size++) {
      const reader = new LineReader();
      const lines: string[] = [];
      for (let at = 0; at < bytes.length; at += size) reader.push(bytes.subarray(at, at + size), (l) => lines.push(l));
      expect(lines).toEqual(['one', 'two', '', 'three']);
    }
  });

  it('are let go where they are too long, and what follows is read', () => {
    const reader = new LineReader();
    const lines: string[] = [];
    for (let i = 0; i < 100; i++) reader.push(Buffer.alloc(MOST_LINE_BYTES, 0x61), (line) => lines.push(line));
    reader.push(Buffer.from('end\nnext\n'), (line) => lines.push(line));
    expect([lines, reader.tooLong]).toEqual([['next'], 1]);
  });
});

describe('a connection to gpsd', () => {
  async function server(onSocket: (socket: Socket) => void): Promise<Server> {
    const it = createServer(onSocket).listen(0, '127.0.0.1');
    await once(it, 'listening');
    closers.push(() => it.close());
    return it;
  }

  /** Resolves with the first `count` reports. */
  function reports(port: number, count: number): { client: Gpsd; fixes: Promise<GpsdFix[]> } {
    const { promise, resolve } = Promise.withResolvers<GpsdFix[]>();
    const seen: GpsdFix[] = [];
    const onFix = (fix: GpsdFix) => {
      seen.push(fix);
      if (seen.length === count) resolve(seen);
    };
    const client = openGpsd({ host: '127.0.0.1', port, bootNs: () => 0n, onFix, firstWaitMs: 20 });
    closers.push(() => client.close());
    return { client, fixes: promise };
  }

  it('asks once for reports, and comes again when it is cut', async () => {
    const asked: string[] = [];
    const { port } = (
      await server((socket) => {
        closers.push(() => socket.destroy());
        socket.on('error', () => undefined);
        socket.once('data', (chunk) => {
          asked.push(chunk.toString());
          socket.end(`{"class":"VERSION"}\n{"class":"SKY"}\nnoise\n${TPV}\n`);
        });
      })
    ).address() as AddressInfo;
    const { client, fixes } = reports(port, 3);
    expect((await fixes).map(({ mode }) => mode)).toEqual([3, 3, 3]);
    expect(new Set(asked)).toEqual(new Set(['?WATCH={"enable":true,"json":true};\n']));
    expect(client.health()).toMatchObject({ connects: 3, fixes: 3, refused: 3 });
  });

  it('waits for one that is not there yet', async () => {
    const port = await freePort();
    const { client, fixes } = reports(port, 1);
    expect(client.health().connected).toBe(false);
    await new Promise((resolve) => setTimeout(resolve, 60));
    const late = createServer((socket) => {
      closers.push(() => socket.destroy());
      socket.write(`${TPV}\n`);
    }).listen(port, '127.0.0.1');
    closers.push(() => late.close());
    expect(await fixes).toHaveLength(1);
  });

  const gpsfake = part('gpsfake');
  it.skipIf(gpsfake === null)(
    'reads what the real gpsd makes of a receiver (needs the packages gpsd and gpsd-clients)',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'tollgate-gpsd-'));
      writeFileSync(join(folder, 'drive.nmea'), nmea(60));
      const port = await freePort();
      const args = ['-q', '-c', '0.05', '-P', String(port), join(folder, 'drive.nmea')];
      const child = spawn(gpsfake!, args, { stdio: 'ignore', detached: true });
      closers.push(() => {
        // The group that was started here: gpsfake and its gpsd.
        process.kill(-child.pid!, 'SIGKILL');
        rmSync(folder, { recursive: true });
      });
      const { promise, resolve } = Promise.withResolvers<GpsdFix>();
      const client = openGpsd({
        host: '127.0.0.1',
        port,
        bootNs: () => 0n,
        onFix: (fix) => fix.latitude !== null && fix.utcNs !== null && resolve(fix),
        firstWaitMs: 100,
      });
      closers.push(() => client.close());
      const fix = await promise;
      expect(fix.mode).toBeGreaterThanOrEqual(2);
      expect(fix.latitude).toBeCloseTo(48.1173, 2);
      expect(fix.longitude).toBeCloseTo(11.5167, 2);
      // The day and the hour of the sentences; gpsd may mend the weeks of a receiver whose counter rolled over.
      expect(new Date(Number(fix.utcNs! / 1_000_000n)).toISOString()).toMatch(/T12:3[56]:/);
    },
    30_000,
  );
});

/** Sentences of NMEA 0183 of a receiver that stands, one second a pair. */
function nmea(seconds: number): string {
  const sentence = (body: string) => {
    let sum = 0;
    for (const char of body) sum ^= char.charCodeAt(0);
    return `$${body}*${sum.toString(16).toUpperCase().padStart(2, '0')}\r\n`;
  };
  return Array.from({ length: seconds }, (_, i) => {
    const time = `1235${String(i).padStart(2, '0')}.00`;
    return (
      sentence(`GPRMC,${time},A,4807.0380,N,01131.0000,E,022.4,084.4,251126,,,A`) +
      sentence(`GPGGA,${time},4807.0380,N,01131.0000,E,1,08,0.9,545.4,M,46.9,M,,`) +
      sentence('GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1')
    );
  }).join('');
}
