import type { ErrorEntry } from '../errors.ts';

export const TRUST_ERRORS = {
  TG_TRUST_KEY: {
    cause: 'A key is not a JWK of the kind that its place asks for, or its two halves do not belong together.',
    remedy: 'Restore the key file from its backup, or enrol again; the key was not used.',
  },
  TG_TRUST_FILE: {
    cause: 'A file of the key folder cannot be read or written.',
    remedy: 'Check the path of unit.keys and its permissions; `tollgate enroll --local DIR` makes the folder.',
  },
  TG_TRUST_DOCUMENT: {
    cause: 'A file of the key folder does not have the form that it should have.',
    remedy: 'Mend the file at the place named; nothing of the folder was used.',
  },
  TG_TRUST_EXISTS: {
    cause: 'Enrolment would overwrite keys that exist.',
    remedy: 'Name another folder, or move the old one away if its keys are really not needed any more.',
  },
  TG_TRUST_SEALED: {
    cause: 'A sealed value does not open: it was changed, or the root of the anchor is another one.',
    remedy: 'Restore the whole folder sealed/ from one backup; what was kept under this label cannot be read.',
  },
  TG_TRUST_COUNTER: {
    cause: 'The monotonic counter of the anchor is missing or damaged although the anchor was used before.',
    remedy: 'Restore the whole folder sealed/ from one backup; a counter that starts again would prove nothing.',
  },
  TG_TRUST_SECRET: {
    cause: 'A value to be sealed is longer than the anchor takes (128 bytes).',
    remedy: 'Seal a key and encrypt the value under it.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
