import type { ErrorEntry } from '../errors.ts';

export const DBC_ERRORS = {
  TG_DBC_SYNTAX: {
    cause: 'A statement of a DBC file is not written as the language asks.',
    remedy: 'Mend the statement at the place named; the lenient loader skips it and reads on.',
  },
  TG_DBC_NUMBER: {
    cause: 'A number is written in a way that the language does not have, such as `.25`.',
    remedy: 'Write it with a digit before the point.',
  },
  TG_DBC_NAME: {
    cause: 'A name begins with a digit.',
    remedy: 'Give it a letter or an underscore first.',
  },
  TG_DBC_ID: {
    cause: 'A message id does not fit: 29-bit ids carry bit 31, 11-bit ids end at 2047.',
    remedy: 'Add 2147483648 to a 29-bit id; the lenient loader does so.',
  },
  TG_DBC_FIT: {
    cause: 'A signal reaches beyond its message.',
    remedy:
      'Correct start bit, length or byte order, or the length of the message; frames give only the signals that fit.',
  },
  TG_DBC_OVERLAP: {
    cause: 'Two signals of one message share bits without being branches of a multiplexer.',
    remedy: 'Correct a start bit or a length; both are decoded as written.',
  },
  TG_DBC_DUPLICATE: {
    cause: 'A message or a signal is defined twice.',
    remedy: 'Remove or rename one; the first is the one that counts.',
  },
  TG_DBC_REFERENCE: {
    cause: 'A statement speaks of a message, a signal or a node that the file does not define.',
    remedy: 'Correct the name or remove the statement; it was passed over.',
  },
  TG_DBC_MULTIPLEX: {
    cause: 'A multiplexed signal has no multiplexer, or one that cannot be told.',
    remedy: 'Mark one signal of the message with M, or name the multiplexer with SG_MUL_VAL_.',
  },
  TG_DBC_TYPE: {
    cause: 'A signal is said to be a float and does not have 32 or 64 bits.',
    remedy: 'Correct SIG_VALTYPE_ or the length; the signal is read as an integer.',
  },
  TG_DBC_ATTRIBUTE: {
    cause: 'An attribute has no definition, stands at the wrong object, or holds what its type does not allow.',
    remedy: 'Correct the value or its BA_DEF_; it is kept as it stands.',
  },
  TG_DBC_RANGE: {
    cause: 'Limits, factor or labels of a signal cannot mean what they say.',
    remedy: 'Correct them; decoding does not look at limits.',
  },
  TG_DBC_ENCODING: {
    cause: 'Bytes of a file are not of the encoding that was named or found.',
    remedy: 'Name the encoding: utf-8, windows-1252 or gb18030.',
  },
  TG_DBC_AMBIGUOUS: {
    cause: 'Two channels have a signal of the same name.',
    remedy: 'Write `dbc:<channel>/<Message>.<Signal>` in campaigns and agreements.',
  },
  TG_MAPPING_SYNTAX: {
    cause: 'A mapping is not YAML of the expected form.',
    remedy: 'Each entry is { signal: "dbc:Message.Signal", path: Vehicle.Path, factor: 1, offset: 0, unit: km/h }.',
  },
  TG_MAPPING_TRANSFORM: {
    cause:
      'A transform of a mapping or an overlay cannot be read, is more than a factor and an offset or a list of whole numbers for values, or does not suit its signal.',
    remedy:
      'Write it as { math: "x * 2 + 1" } or { mapping: [{ from: LABEL, to: 1 }] }. Nothing of a mapping was applied; the other entries of an overlay were read.',
  },
  TG_MAPPING_PATH: {
    cause: 'A mapping names a path that the VSS tree does not have.',
    remedy: 'Correct the path, or check against the release of the tree that your recipients use.',
  },
  TG_MAPPING_UNIT: {
    cause: 'A mapping gives a signal a unit of another quantity than that of the database.',
    remedy: 'Correct the unit, or write the factor (and offset) that leads from the one to the other.',
  },
  TG_MAPPING_SIGNAL: {
    cause: 'A mapping names a signal that the database lacks, or a path twice.',
    remedy: 'Correct the entry; nothing of the mapping was applied.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
