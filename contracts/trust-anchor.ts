/** What a verifier is told of the anchor; shown in `status`, receipts and screens. */
export interface AnchorDescription {
  /** `software-untrusted` is a file on disk: it proves nothing about the machine. */
  readonly kind: 'software-untrusted' | 'tpm2';
  /** C2SP note verifier key (`name+hash+key`) of the ledger key. */
  readonly verifierKey: string;
}

/**
 * Holds the unit's keys: a TPM, or files for development. All calls are asynchronous because a TPM is slow.
 * Labels name a key or a sealed value; a destroyed label never opens again.
 */
export interface TrustAnchor {
  describe(): AnchorDescription;
  /** Signs with the ledger key; Ed25519 (software) or ECDSA P-256 in IEEE P1363 form (TPM). */
  sign(message: Uint8Array): Promise<Uint8Array>;
  /** Keeps `secret` (at most 128 bytes) under `label`; replaces what was there. Durable when it resolves. */
  seal(label: string, secret: Uint8Array): Promise<void>;
  /** The secret of `label`, or null where there is none (never sealed, or destroyed). */
  unseal(label: string): Promise<Uint8Array | null>;
  /** Overwrites and removes `label`; durable when it resolves. Unknown labels are no error: start-up repeats it. */
  destroy(label: string): Promise<void>;
  /** Adds one to the monotonic counter and returns it. */
  counter(): Promise<number>;
  random(bytes: number): Promise<Uint8Array>;
}
