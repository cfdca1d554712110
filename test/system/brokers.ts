import { startBroker } from '#sim/broker';
import { MOSQUITTO, startMosquitto } from '../firmware-bridge/mosquitto.ts';

export interface AnyBroker {
  readonly url: string;
  readonly protocol: 5 | 4;
  stop(): Promise<void>;
}

/** A broker of another house where there is one, else the embedded one. */
export async function anyBroker(): Promise<AnyBroker> {
  if (MOSQUITTO === null) {
    const broker = await startBroker();
    return { url: broker.url, protocol: 4, stop: () => broker.close() };
  }
  const broker = await startMosquitto();
  return { url: broker.url, protocol: 5, stop: () => broker.stop() };
}
