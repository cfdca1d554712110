import type { ErrorEntry } from '../errors.ts';

/** Frames to signals, signals to frames, and the logs that frames come from. */
export const DECODER_ERRORS = {
  TG_DECODER_SIGNAL: {
    cause:
      'A decoder was asked for a signal that the database does not have, or that has no possible place in a frame.',
    remedy:
      'Compare the name with `tollgate dbc dump`; check the signal at the line named. Nothing of this channel is decoded.',
  },
  TG_DECODER_DUPLICATE_ID: {
    cause: 'A decoder was asked for signals of two messages that have the same id.',
    remedy: 'Give one of them another id in the database, or ask for the signals of one only.',
  },
  TG_DECODER_MULTIPLEXER: {
    cause: 'A multiplexed signal depends on a multiplexer that its message lacks, or on itself.',
    remedy: 'Mend the M and m markers or the SG_MUL_VAL_ line of the signal. Nothing of this channel is decoded.',
  },
  TG_ENCODE_MESSAGE: {
    cause: 'The database has no message of the name that was to be encoded.',
    remedy: 'Compare the name with `tollgate dbc list`.',
  },
  TG_ENCODE_SIGNAL: {
    cause: 'A value was given for a signal that the message does not have, or that its multiplexer excludes.',
    remedy: 'Remove the signal, or set the multiplexer to a value that includes it. No frame was made.',
  },
  TG_ENCODE_MISSING: {
    cause: 'A signal of the message was given no value.',
    remedy: 'Give every signal that is there for these multiplexer values a value. No frame was made.',
  },
  TG_ENCODE_RANGE: {
    cause: 'A value does not fit the bits of its signal, or lies outside the limits that the database gives it.',
    remedy: 'Give a value within the range named. No frame was made.',
  },
  TG_LOG_FILE: {
    cause: 'A log cannot be opened or read.',
    remedy: 'Check the path and its permissions; frames read before stay delivered.',
  },
  TG_LOG_GZIP: {
    cause: 'A compressed log is damaged or cut short.',
    remedy: 'Take the file again from where it came; frames before the damage were delivered.',
  },
  TG_LOG_TOO_LARGE: {
    cause: 'A compressed log holds more bytes than the cap allows.',
    remedy: 'Check that it is the log it should be, then raise the cap or unpack it first.',
  },
  TG_LOG_NO_UTC: {
    cause: 'Several logs are to be merged by their times, and one of them does not say when it was recorded.',
    remedy: 'Convert it to a format with absolute UTC times (candump -L, BLF, PCAPNG), or play it alone.',
  },
  TG_TRANSPORT_LINK: {
    cause:
      'Two links of a transport have the same id (and address byte), or a link of extended addressing has no address.',
    remedy: 'Give each direction between two nodes one link, with its address byte where addressing is extended.',
  },
} as const satisfies Record<`TG_${string}`, ErrorEntry>;
