import type { ErrorEntry } from '../errors.ts';

export const WIRE_ERRORS = {
  TG_WIRE_RECORD_VALUE: {
    cause: 'A table does not fit the schema of its stream: a value or a time has no exact place in its column.',
    remedy: 'Times are whole ms that do not decrease; whole numbers have at most 53 bits. Nothing was written.',
  },
  TG_WIRE_RECORD_TOO_LARGE: {
    cause: 'A record has more rows, cells or bytes than a record may hold.',
    remedy: 'Shorten `record.every` of the campaign; the limits stand in wire/columns/README.md.',
  },
  TG_WIRE_RECORD_MALFORMED: {
    cause: 'Bytes said to be a record are none under this schema.',
    remedy: 'Nothing of the record was kept. Check that schema and record belong to one session and one version.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
