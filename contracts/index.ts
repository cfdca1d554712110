/** What rooms agree on, nothing else. */
export * from './clock.ts';
export * from './errors.ts';
export * from './filter.ts';
export * from './frames.ts';
export * from './nearest.ts';
export * from './operation.ts';
export * from './signals.ts';
export * from './sink.ts';
export * from './trust-anchor.ts';
