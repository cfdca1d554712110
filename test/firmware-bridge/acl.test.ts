import { afterAll, afterEach, describe, expect, it } from 'vitest';
import { connectMqtt, type MqttLink, type MqttTls } from '#firmware-bridge/mqtt';
import { brokerAcl, brokerConf } from '#firmware-bridge/mqtt/acl';
import { authority, OPENSSL } from './certificates.ts';
import { freePort, MOSQUITTO, type Mosquitto, startMosquitto } from './mosquitto.ts';

const closers: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const A = 'AAAAAAAAAAAAAAAAAAAAAA';
const B = 'BBBBBBBBBBBBBBBBBBBBBA';
const bytes = (text: string) => new TextEncoder().encode(text);
const plain = { retain: false };

describe('the rules of a broker', () => {
  it('take only names that are nothing more in a topic or a line', () => {
    for (const tenant of ['', 'T1', 'a/b', '+', 't1\ntopic #'])
      expect(() => brokerAcl({ tenants: [tenant], receivers: [] })).toThrow(RangeError);
    for (const receiver of ['', 'a b', '#', 'x\nuser y'])
      expect(() => brokerAcl({ tenants: ['t1'], receivers: [receiver] })).toThrow(RangeError);
  });
});

describe.skipIf(MOSQUITTO === null || !OPENSSL)('mosquitto with the generated rules', () => {
  const unitsCa = authority('units');
  const receiversCa = authority('receivers');
  const server = unitsCa.issue('broker', 'IP:127.0.0.1');
  afterAll(() => {
    unitsCa.remove();
    receiversCa.remove();
  });

  it('lets a unit publish and read its own topics', async () => {
    const { unit, receiver } = await broker();
    const { link: reads, seen } = await receiver('insurer');
    await reads.subscribe([`v1/t1/+/tx/+`, `v1/t1/+/tx/+/s`, `v1/t1/+/tx/+/p`, `$share/g/v1/t1/+/tx/+`]);
    const one = await unit(A);
    await one.link.subscribe([`v1/t1/${A}/rx/ack`, `v1/t1/${A}/rx/doc`]);
    for (const end of ['tx/s1', 'tx/s1/s', 'tx/s1/p', 'st', 'st/doc']) {
      await one.link.publish(`v1/t1/${A}/${end}`, bytes(end), plain);
    }
    // tx/s1 comes twice: over the plain subscription and over the shared one.
    await expect
      .poll(() => [...seen].sort())
      .toEqual(['tx/s1', 'tx/s1', 'tx/s1/p', 'tx/s1/s'].map((end) => `v1/t1/${A}/${end}`));
    await reads.publish(`v1/t1/${A}/rx/ack`, bytes('ack'), plain);
    await reads.publish(`v1/t1/${A}/rx/doc`, bytes('doc'), plain);
    await expect.poll(() => one.seen).toEqual([`v1/t1/${A}/rx/ack`, `v1/t1/${A}/rx/doc`]);
  });

  it.each([
    `v1/t1/${B}/tx/s1`,
    `v1/t1/${B}/tx/s1/s`,
    `v1/t1/${B}/st`,
    `v1/t1/${B}/st/doc`,
    `v1/t1/${B}/rx/ack`,
    `v1/t1/${A}/rx/ack`,
    `v1/t1/${A}/rx/doc`,
    `v1/t1/${A}/tx/s1/more/levels`,
    `v1/t2/${A}/tx/s1`,
    'anything',
  ])('refuses a unit that publishes to %s', async (topic) => {
    const { unit } = await broker();
    const { link } = await unit(A);
    await expect(link.publish(topic, bytes('x'), plain)).rejects.toMatchObject({ code: 'TG_BROKER_PUBLISH' });
  });

  it('gives a unit nothing of another, whatever it subscribes', async () => {
    const { unit, receiver } = await broker();
    const spy = await unit(A);
    const filters = [
      '#',
      'v1/#',
      `v1/t1/${B}/rx/ack`,
      `v1/t1/${B}/tx/+`,
      'v1/+/+/tx/+',
      '$share/g/v1/+/+/tx/+',
      '$SYS/#',
    ];
    for (const filter of filters) await spy.link.subscribe([filter]).catch(() => undefined);
    const other = await unit(B);
    await other.link.publish(`v1/t1/${B}/tx/s1`, bytes('x'), plain);
    await other.link.publish(`v1/t1/${B}/tx/s1/s`, bytes('x'), { retain: true });
    const { link } = await receiver('insurer');
    await link.publish(`v1/t1/${B}/rx/ack`, bytes('x'), plain);
    // What comes for the spy itself shows that the rest had its time.
    await link.publish(`v1/t1/${A}/rx/doc`, bytes('x'), plain);
    await expect.poll(() => spy.seen.length).toBeGreaterThan(0);
    expect(spy.seen.filter((topic) => topic !== `v1/t1/${A}/rx/doc`)).toEqual([]);
  });

  it.each([`v1/t1/${A}/tx/s1`, `v1/t1/${A}/tx/s1/s`, `v1/t1/${A}/st`, `v1/t2/${A}/rx/ack`])(
    'refuses a receiver that publishes to %s',
    async (topic) => {
      const { receiver } = await broker();
      const { link } = await receiver('insurer');
      await expect(link.publish(topic, bytes('x'), plain)).rejects.toMatchObject({ code: 'TG_BROKER_PUBLISH' });
    },
  );

  it('knows no receiver that was not named', async () => {
    const { unit, receiver } = await broker();
    const stranger = await receiver('stranger');
    await stranger.link.subscribe(['v1/t1/+/tx/+']).catch(() => undefined);
    const known = await receiver('insurer');
    await known.link.subscribe(['v1/t1/+/tx/+']);
    const { link } = await unit(A);
    await link.publish(`v1/t1/${A}/tx/s1`, bytes('x'), plain);
    await expect.poll(() => known.seen.length).toBe(1);
    expect(stranger.seen).toEqual([]);
    await expect(stranger.link.publish(`v1/t1/${A}/rx/ack`, bytes('x'), plain)).rejects.toMatchObject({
      code: 'TG_BROKER_PUBLISH',
    });
  });

  it('does not let a unit take the place of another by its client id', async () => {
    const { unit } = await broker();
    const honest = await unit(A);
    let gone = false;
    void honest.closed.then(() => {
      gone = true;
    });
    const thief = await unit(B, A);
    await thief.link.publish(`v1/t1/${B}/st`, bytes('x'), plain);
    await expect(thief.link.publish(`v1/t1/${A}/st`, bytes('x'), plain)).rejects.toThrow();
    await honest.link.publish(`v1/t1/${A}/st`, bytes('x'), plain);
    expect(gone).toBe(false);
  });

  it('takes nobody without a certificate, nor with one of the other CA', async () => {
    const { open, urls } = await broker();
    const { ca } = unitsCa;
    for (const [url, tls] of [
      [urls.units, { ca }],
      [urls.units, { ca, ...receiversCa.issue(A) }],
      [urls.receivers, { ca, ...unitsCa.issue('insurer') }],
    ] as const) {
      await expect(open(url, tls, 'x')).rejects.toMatchObject({ code: expect.stringMatching(/^TG_BROKER_/) });
    }
  });

  interface Probe {
    readonly link: MqttLink;
    readonly seen: string[];
    readonly closed: Promise<unknown>;
  }

  async function open(url: string, tls: MqttTls, clientId: string): Promise<Probe> {
    const seen: string[] = [];
    const closed = Promise.withResolvers<unknown>();
    const link = await connectMqtt({
      url,
      protocol: 5,
      clientId,
      keepalive: 30,
      tls,
      onMessage: (topic) => void seen.push(topic),
      onClose: closed.resolve,
    });
    closers.push(() => link.end());
    return { link, seen, closed: closed.promise };
  }

  /** The lines of `broker acl --conf` as they are, but for the two ports. */
  async function broker() {
    const second = await freePort();
    const conf = brokerConf('%d', '%d').split('\n');
    const units = conf.indexOf('listener 8883');
    const receivers = conf.indexOf('listener 8884');
    const started: Mosquitto = await startMosquitto({
      lines: conf.slice(0, units),
      listener: [...conf.slice(units + 1, receivers), `listener ${second} 127.0.0.1`, ...conf.slice(receivers + 1)],
      anonymous: false,
      ports: [second],
      files: {
        acl: brokerAcl({ tenants: ['t1'], receivers: ['insurer'] }),
        'units-ca.pem': unitsCa.ca,
        'receivers-ca.pem': receiversCa.ca,
        'broker.pem': server.cert,
        'broker.key': server.key,
      },
    });
    closers.push(() => started.stop());
    const urls = { units: started.url.replace('mqtt:', 'mqtts:'), receivers: `mqtts://127.0.0.1:${second}` };
    const { ca } = unitsCa;
    return {
      urls,
      open,
      unit: (name: string, clientId = name) => open(urls.units, { ca, ...unitsCa.issue(name) }, clientId),
      receiver: (name: string) => open(urls.receivers, { ca, ...receiversCa.issue(name) }, `${name}-1`),
    };
  }
});
