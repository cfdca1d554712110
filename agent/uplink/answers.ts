import type { TollgateError } from '#contracts';
import type { Store } from '../store/contract.ts';
import { asError } from './incoming.ts';

export interface AnswersOptions {
  readonly store: Pick<Store, 'pubacked'>;
  stored(): void;
  failed(error: TollgateError): void;
  /** The store knows all, or has failed. */
  done(): void;
}

/** Tells the store of PUBACKs, many at once while it works on the ones before. */
export class Answers {
  readonly #options: AnswersOptions;
  /** Rows whose PUBACK the store does not know yet. */
  #ids: number[] = [];
  #working: Promise<void> | null = null;

  constructor(options: AnswersOptions) {
    this.#options = options;
  }

  add(id: number): void {
    this.#ids.push(id);
    this.#working ??= this.#work();
  }

  /** Resolves when the store knows all that came. */
  async settled(): Promise<void> {
    await this.#working;
  }

  async #work(): Promise<void> {
    const { store, stored, failed, done } = this.#options;
    try {
      while (this.#ids.length > 0) {
        await store.pubacked(this.#ids.splice(0));
        stored();
      }
    } catch (error) {
      failed(asError(error));
    } finally {
      this.#working = null;
      done();
    }
  }
}
