/**
 * Where a software anchor keeps its blobs: a folder, memory in tests. Names are `[a-z0-9-]{1,80}`.
 * What these functions promise is all that the anchor's durability rests on.
 */
export interface AnchorStorage {
  /** The blob as last written, or null where there is none. */
  read(name: string): Promise<Uint8Array | null>;
  /** Replaces the blob whole or not at all; durable when it resolves. */
  write(name: string, bytes: Uint8Array): Promise<void>;
  /** Overwrites the blob and removes it, with whatever an interrupted write left of it; durable when it resolves. */
  remove(name: string): Promise<void>;
}
