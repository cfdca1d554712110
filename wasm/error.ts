/**
 * A module that cannot be written or read. The room stands alone, so it has its own error type; callers wrap it in a
 * `TollgateError` that names the place in their own terms.
 */
export class WasmError extends Error {
  /** Byte offset in the module; undefined where a module is being written. */
  readonly offset: number | undefined;

  constructor(message: string, offset?: number) {
    super(offset === undefined ? message : `${message} at byte ${offset}`);
    this.name = 'WasmError';
    this.offset = offset;
  }
}
