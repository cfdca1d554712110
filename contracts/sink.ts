/** Where messages go: a broker, a file, a test. Resolves when the other side has taken responsibility (PUBACK). */
export interface Sink {
  readonly name: string;
  publish(topic: string, payload: Uint8Array, options: { retain: boolean }): Promise<void>;
  close(): Promise<void>;
}
