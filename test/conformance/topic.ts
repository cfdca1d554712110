/** What one topic of the conformance runner says. */
export interface TopicResult {
  /** `can: 25163 of 25163 values, …`, with `unsupported: <feature>` for what waits for a later version. */
  readonly line: string;
  readonly passed: number;
  readonly failed: number;
  /** Cases of features that are not built: never counted as equal. */
  readonly skipped: number;
  /** One line each: place, what came, what was wanted. */
  readonly problems: readonly string[];
}
