/** What the decoder uses of the platform's WebAssembly; the TypeScript library declares it for browsers only. */
export interface WasmPlatform {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: object };
}

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** Undefined under `--jitless`. */
export function wasmPlatform(): WasmPlatform | undefined {
  return (globalThis as { readonly WebAssembly?: WasmPlatform }).WebAssembly;
}
