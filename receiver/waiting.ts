/** A message whose session has not come. */
export interface WaitingMessage {
  readonly topic: string;
  readonly bytes: Uint8Array;
}

/** Messages that wait for a session at most, and their bytes: a stranger may send as many as the broker lets him. */
export const MOST_WAITING = 2_000;
export const MOST_WAITING_BYTES = 16 * 2 ** 20;

/** Messages that no session opens yet, by stream; the stream that began to wait first is dropped first. */
export class Waiting {
  readonly #streams = new Map<string, WaitingMessage[]>();
  #bytes = 0;
  count = 0;

  /** @returns how many messages were dropped to make room */
  keep(key: string, message: WaitingMessage): number {
    const list = this.#streams.get(key) ?? [];
    list.push(message);
    this.#streams.set(key, list);
    this.count++;
    this.#bytes += message.bytes.length;
    let dropped = 0;
    while (this.count > MOST_WAITING || this.#bytes > MOST_WAITING_BYTES) {
      dropped += this.take(this.#streams.keys().next().value!).length;
    }
    return dropped;
  }

  /** The first message of streams that something waits for, the one that began first first, at most `limit`. */
  oldest(limit: number): { readonly key: string; readonly topic: string }[] {
    return [...this.#streams]
      .slice(0, limit)
      .flatMap(([key, [first]]) => (first === undefined ? [] : [{ key, topic: first.topic }]));
  }

  /** Takes out what waits for a stream, in the order in which it came. */
  take(key: string): WaitingMessage[] {
    const list = this.#streams.get(key) ?? [];
    this.#streams.delete(key);
    this.count -= list.length;
    for (const { bytes } of list) this.#bytes -= bytes.length;
    return list;
  }
}
