/** Writes one result to the serial console, where the host reads it. */
export function report(test: string, ok: boolean, figures: Readonly<Record<string, unknown>> = {}): void {
  process.stdout.write(`\n@@ ${JSON.stringify({ test, ok, ...figures })}\n`);
}

/** Runs one test; whatever it throws is its result. */
export async function attempt(
  test: string,
  run: () => Promise<{ ok: boolean } & Readonly<Record<string, unknown>>>,
): Promise<void> {
  try {
    const { ok, ...figures } = await run();
    report(test, ok, figures);
  } catch (error) {
    report(test, false, {
      error: error instanceof Error ? `${error.message} ${error.stack?.split('\n')[1]}` : String(error),
    });
  }
}

export const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Waits until `done`, at most `ms`; says whether it came. */
export async function until(done: () => boolean, ms: number): Promise<boolean> {
  const end = performance.now() + ms;
  while (!done()) {
    if (performance.now() > end) return false;
    await sleep(50);
  }
  return true;
}
