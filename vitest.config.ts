import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // Two cores: more workers only make the timeouts of system tests tight.
    maxWorkers: 2,
    // Node 24's baseline compiler crashes processes that start and end many threads (docs/decisions/0006).
    execArgv: ['--no-sparkplug'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
