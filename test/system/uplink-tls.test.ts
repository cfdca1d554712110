import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { brokerAcl, brokerConf } from '#firmware-bridge/mqtt/acl';
import { loadReceiverKeys, type ReceiverAlarm, SqliteStore, startReceiver } from '#receiver';
import { pseudonymIn } from '../../agent/pseudonym.ts';
import { serviceStatus } from '../../agent/status.ts';
import { statusText } from '../../cli/commands/status.ts';
import { authority, OPENSSL } from '../firmware-bridge/certificates.ts';
import { freePort, MOSQUITTO, startMosquitto } from '../firmware-bridge/mosquitto.ts';
import { receiverFacts, unitFacts } from './examine.ts';
import { never, openService } from './service-parts.ts';
import { unitFolder } from './unit-folder.ts';

describe.skipIf(MOSQUITTO === null || !OPENSSL)(
  'a unit, a receiver and mosquitto with certificates and the generated rules',
  () => {
    const [old, fresh] = [authority('old'), authority('new')];
    afterAll(() => {
      old.remove();
      fresh.remove();
    });

    it('work while the broker’s CA and the unit’s certificate change under them', async () => {
      const unit = await unitFolder({ seconds: 3 });
      mkdirSync(unit.state);
      mkdirSync(unit.file('certs'));
      const name = await pseudonymIn(unit.state);
      const certify = (ca: typeof old) => {
        const { cert, key } = ca.issue(name);
        writeFileSync(unit.file(`certs/${name}.pem`), cert);
        writeFileSync(unit.file(`certs/${name}.key`), key);
      };
      certify(old);
      writeFileSync(unit.file('ca.pem'), old.ca);

      const second = await freePort();
      const conf = brokerConf('%d', '%d').split('\n');
      const [units, receivers] = [conf.indexOf('listener 8883'), conf.indexOf('listener 8884')];
      const server = old.issue('broker', 'IP:127.0.0.1');
      const broker = await startMosquitto({
        lines: conf.slice(0, units),
        listener: [...conf.slice(units + 1, receivers), `listener ${second} 127.0.0.1`, ...conf.slice(receivers + 1)],
        anonymous: false,
        ports: [second],
        files: {
          acl: brokerAcl({ tenants: ['t1'], receivers: ['insurer'] }),
          'units-ca.pem': `${old.ca}${fresh.ca}`,
          'receivers-ca.pem': old.ca,
          'broker.pem': server.cert,
          'broker.key': server.key,
        },
      });
      const file = join(unit.recipients[0]!, 'receiver.sqlite');
      const store = new SqliteStore(file);
      const alarms: ReceiverAlarm[] = [];
      const receiver = await startReceiver({
        url: `mqtts://127.0.0.1:${second}`,
        protocol: 5,
        tls: { ca: `${old.ca}${fresh.ca}`, ...old.issue('insurer') },
        store,
        keys: await loadReceiverKeys(unit.recipients[0]!),
        alarm: (alarm) => void alarms.push(alarm),
        waitMs: () => 20,
      });

      const path = unit.config({ url: broker.url.replace('mqtt:', 'mqtts:'), protocol: 5, realtime: true });
      const config = JSON.parse(readFileSync(path, 'utf8')) as { uplink: Record<string, unknown> };
      const files = { ca: 'ca.pem', cert: 'certs/{pseudonym}.pem', key: 'certs/{pseudonym}.key' };
      Object.assign(config.uplink, files, { network: 'lte', bandwidth: '1MiB/s', keepalive: 5 });
      writeFileSync(path, JSON.stringify(config));
      const service = await openService(path);
      const played = service.play(never());
      const connects = () => service.uplink!.status().connects;
      const arrived = () => receiverFacts(file).records.length;
      const reconnected = async (change: () => void) => {
        const before = connects();
        await broker.kill();
        change();
        await broker.start();
        await expect.poll(connects, { timeout: 20_000 }).toBeGreaterThan(before);
      };
      await expect.poll(arrived, { timeout: 20_000 }).toBeGreaterThan(0);

      // The overlap first, then the broker's new certificate, then the unit's own.
      writeFileSync(unit.file('ca.pem'), `${old.ca}${fresh.ca}`);
      await reconnected(() => {
        const renewed = fresh.issue('broker', 'IP:127.0.0.1');
        writeFileSync(join(broker.folder, 'broker.pem'), renewed.cert);
        writeFileSync(join(broker.folder, 'broker.key'), renewed.key);
      });
      writeFileSync(unit.file('ca.pem'), fresh.ca);
      certify(fresh);
      await reconnected(() => undefined);

      await played;
      expect(await service.settle(never())).toBe(true);
      const status = await serviceStatus(service);
      const [traffic] = status.uplink!.traffic;
      expect(traffic).toMatchObject({ network: 'lte' });
      expect(traffic!.sent).toBeGreaterThan(3_000);
      expect(traffic!.received).toBeGreaterThan(3_000);
      const silent = {
        stdin: [] as never,
        out: () => undefined,
        err: () => undefined,
        interactive: false,
        signal: never(),
      };
      expect(statusText(status, silent)).toMatch(/network +lte: .* sent, .* received/);
      await service.end();
      expect(JSON.parse(readFileSync(join(unit.state, 'traffic.json'), 'utf8'))[0].sent).toBeGreaterThanOrEqual(
        traffic!.sent,
      );
      await expect.poll(() => receiverFacts(file).unproven, { timeout: 20_000 }).toBe(0);
      expect(receiverFacts(file).records).toEqual([...(await unitFacts(unit)).records].sort());
      expect(alarms).toEqual([]);
      await receiver.close();
      await store.close();
      await broker.stop();
      unit.remove();
    });
  },
);
