import { TollgateError } from '#contracts';

/** What `checkWireVectors` says; the ledger topic prints it. */
export interface WireReport {
  readonly groups: { name: string; equal: number; total: number }[];
  readonly skipped: { name: string; reason: string; count: number }[];
  readonly problems: string[];
}

/** What a vector came to where a typed error refused it. */
export const REFUSED = 'refused';

export class Report {
  readonly #groups = new Map<string, { equal: number; total: number }>();
  readonly #skipped = new Map<string, { name: string; reason: string; count: number }>();
  readonly #problems: string[] = [];

  compare(group: string, place: string, came: string, wanted: string): void {
    const sum = this.#groups.get(group) ?? { equal: 0, total: 0 };
    sum.total++;
    if (came === wanted) sum.equal++;
    else this.#problems.push(`${place}: came ${came}, wanted ${wanted}`);
    this.#groups.set(group, sum);
  }

  /** @param feature what is not there, as `unsupported: <feature>` prints it */
  unsupported(group: string, feature: string, count = 1): void {
    const reason = feature;
    const known = this.#skipped.get(`${group}/${reason}`) ?? { name: group, reason, count: 0 };
    known.count += count;
    this.#skipped.set(`${group}/${reason}`, known);
  }

  result(): WireReport {
    const groups = [...this.#groups].map(([name, sum]) => ({ name, ...sum }));
    return { groups, skipped: [...this.#skipped.values()], problems: this.#problems };
  }
}

/** `REFUSED` where a typed error came; any other error is a defect and shows as itself. */
export async function cameTo(work: () => string | Promise<string>): Promise<string> {
  try {
    return await work();
  } catch (error) {
    return error instanceof TollgateError ? REFUSED : `an untyped ${String(error)}`;
  }
}

export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const fromHex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
export const base64url = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64url');
