/**
 * A signal as documents, plan and decoder agree on it. Its physical value is `(raw · f + o) · factor + offset`, four
 * IEEE double steps; `f`, `o` come from the DBC and `factor`, `offset` from the mapping (1 and 0 without one).
 */
export interface SignalInfo {
  /** `Vehicle.Speed` where a mapping names it, else the same as `dbcName`. */
  readonly name: string;
  /** `dbc:<Message>.<Signal>`, or `dbc:<channel>/<Message>.<Signal>` where two channels share the short form. */
  readonly dbcName: string;
  /** Index of the source (and of its database). */
  readonly channel: number;
  readonly message: string;
  readonly signal: string;
  /** Id word of the message with the EFF bit. */
  readonly id: number;
  /** Unit of the physical value (after the mapping). */
  readonly unit: string;
  readonly f: number;
  readonly o: number;
  readonly factor: number;
  readonly offset: number;
  /** `int`: raw fits 53 bits, one cell; `wide`: two cells (high, low 32 bits); `float32`, `float64`: the value itself. */
  readonly type: 'int' | 'wide' | 'float32' | 'float64';
  readonly signed: boolean;
  readonly bits: number;
  /** A mapping's `values`: raw value → value in its stead, other raw values have none; `f`, `o`, `factor`, `offset` are 1 and 0. */
  readonly values?: ReadonlyMap<number, number>;
  /** A mapping's `minInterval`: what follows sooner on a sample that was recorded is left out, ns. */
  readonly minIntervalNs?: number;
  /** A mapping's `deadband`: what differs from the sample last recorded by no more than this is left out, in `unit`. */
  readonly deadband?: number;
}
