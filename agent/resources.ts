import { randomFillSync } from 'node:crypto';
import type { Clock, TripWatch, TrustAnchor } from '#contracts';
import type { Plan } from '#policies';
import { type OperationResources, recipientKey } from '#privacy';
import { utcMs } from './clock.ts';

/** Label of the secret that pseudonyms come from. */
const SECRET_LABEL = 'pseudonyms';
const SECRET_BYTES = 32;
/** Context that is older than this is unknown, as at the gate, ns. */
const STALE_NS = 10e9;
const KMH_TO_M_PER_S = 1 / 3.6;

/** What the operations of one unit share. */
export interface UnitResources {
  /** @param recipient DID */
  of(recipient: string): OperationResources;
}

/** The secret of a unit's pseudonyms: made once, sealed by the anchor. Without it no pseudonym can be linked to a value. */
export async function pseudonymSecret(anchor: TrustAnchor): Promise<Uint8Array> {
  const kept = await anchor.unseal(SECRET_LABEL);
  if (kept !== null) return kept;
  const fresh = await anchor.random(SECRET_BYTES);
  await anchor.seal(SECRET_LABEL, fresh);
  return fresh;
}

export function unitResources(secret: Uint8Array, clock: Clock, trip: TripWatch): UnitResources {
  const keys = new Map<string, Uint8Array>();
  // The offset is asked for at every row and changes seldom.
  let known = clock.utc();
  let offsetMs = utcMs(0n, known);
  const utcOffsetMs = () => {
    const utc = clock.utc();
    if (utc !== known) {
      known = utc;
      offsetMs = utcMs(0n, utc);
    }
    return offsetMs;
  };
  return {
    of: (recipient) => {
      const pseudonymKey = keys.get(recipient) ?? recipientKey(secret, recipient);
      keys.set(recipient, pseudonymKey);
      return { random: fill, pseudonymKey, utcOffsetMs, trip };
    },
  };
}

const fill = (into: Uint8Array): void => {
  randomFillSync(into);
};

/** The trip as the context of the path tells it: operations look, nobody has to tell them. */
export class Trip implements TripWatch {
  ended = 0;
  #heard: Float64Array = new Float64Array(0);
  #ignition = -1;
  #speed = -1;
  #scale = 1;

  /** Another path: where its context stands. @param heard (time ns, value) by number of the context signal */
  follow({ context }: Plan, heard: Float64Array): void {
    const source = (operand: string) => {
      const found = context.find((one) => one.operand === operand);
      return found?.kind === 'signal' ? found : null;
    };
    this.#heard = heard;
    this.#ignition = source('auto:ignition')?.index ?? -1;
    this.#speed = source('auto:vehicleSpeed')?.index ?? -1;
    this.#scale = source('auto:vehicleSpeed')?.scale ?? 1;
  }

  /** The ignition went off. */
  end(): void {
    this.ended++;
  }

  isOn(timeNs: number): boolean {
    return this.#known(this.#ignition, timeNs) > 0;
  }

  speed(timeNs: number): number {
    return this.#known(this.#speed, timeNs) * this.#scale * KMH_TO_M_PER_S;
  }

  /** NaN where it was never heard, too long ago, or later than the row. */
  #known(index: number, timeNs: number): number {
    if (index < 0) return Number.NaN;
    const age = timeNs - this.#heard[2 * index]!;
    return age >= 0 && age <= STALE_NS ? this.#heard[2 * index + 1]! : Number.NaN;
  }
}
