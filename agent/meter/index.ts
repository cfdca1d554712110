/** What left, counted exactly: counters that commit with the rows, records of them that are signed and chained. */
export { type BookEntry, bookOf, METER_FILE, MeterBook, readBook } from './book.ts';
export { hourOf, MeterSealer, type SealerParts, sameKey } from './sealer.ts';
export { counterKey, type MeterTerms, StreamMeter, termsOf } from './terms.ts';
