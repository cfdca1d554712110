import { parentPort } from 'node:worker_threads';
import { TollgateError } from '#contracts';
import type { Ack } from './contract.ts';
import { passes, translate } from './database.ts';
import type { Answer, Message, Request } from './protocol.ts';
import { Writer } from './writer.ts';

/** The writer's thread: one request after the other, each answered once. */
const port = parentPort!;
let writer: Writer | null = null;
let file = '';
let gatherMs = 0;
let gathering: NodeJS.Timeout | undefined;

const nowMs = () => Math.floor(Number(process.hrtime.bigint() / 1_000_000n));

port.on('message', ({ id, request }: Message) => {
  try {
    const before = writer?.queued ?? 0;
    const value = serve(request);
    const ready = request.op !== 'take' && (writer?.queued ?? 0) > before;
    const transfer = request.op === 'group' ? [request.group.bytes] : [];
    post({ id, value, ready }, transfer);
    if (request.op === 'close') port.close();
  } catch (error) {
    const value = request.op === 'group' ? request.group : undefined;
    post({ id, value, error: described(error), ready: false }, value === undefined ? [] : [value.bytes]);
  }
});

function post(answer: Answer, transfer: ArrayBuffer[] = []): void {
  port.postMessage(answer, transfer);
}

function serve(request: Request): unknown {
  if (request.op === 'open') {
    file = request.settings.file;
    writer = new Writer(request.settings);
    gatherMs = request.gatherMs;
    return writer.opened();
  }
  if (writer === null && request.op === 'close') return null;
  if (writer === null) throw new TollgateError('TG_STORE_CLOSED', 'the store is not open');
  switch (request.op) {
    case 'keys':
      for (const [agreement, key] of request.keys) writer.key(agreement, key);
      return writer.head();
    case 'group':
      writer.commit(request.group);
      return { head: writer.head(), bytes: request.group.bytes };
    case 'checkpoint':
      return writer.checkpoint(request.size, request.note);
    case 'proofs':
      return writer.proofs(request.size);
    case 'proof':
      return writer.queueProofs(request.proofs);
    case 'take':
      return writer.take(request.limit, request.pseudonym);
    case 'pubacked':
      return answered(request.ids, []);
    case 'ack':
      return answered([], [request.ack]);
    case 'requeue':
      return writer.requeue(request.olderThanMs, nowMs());
    case 'resend':
      return writer.resend(request.pseudonym);
    case 'withdraw':
      return { dropped: writer.withdraw(request.agreement, request.leaf), head: writer.head() };
    case 'prune':
      return writer.prune();
    case 'stats':
      return writer.stats();
    case 'meter':
      return writer.meter();
    case 'records':
      return writer.recordsAbout(request.query);
    case 'recipient':
      return writer.recipientOf(request.stream);
    case 'close':
      clearTimeout(gathering);
      return writer.close();
  }
}

/** Takes effect at once; the disk hears of it with the next fold, or after `gatherMs`. */
function answered(pubacked: readonly number[], acks: readonly Ack[]): void {
  const due = writer!.answers(pubacked, acks, nowMs());
  if (due || gatherMs === 0) {
    foldAnswers();
    writer!.answersStored(pubacked.length > 0, acks.length > 0);
  } else gathering ??= setTimeout(foldAnswers, gatherMs);
}

function foldAnswers(): void {
  gathering = undefined;
  try {
    writer?.fold();
  } catch (error) {
    // Nothing is lost by it: what no disk took is tried with the next commit, and sent again after a power cut.
    if (passes(error)) return;
    throw error;
  }
}

function described(thrown: unknown): NonNullable<Answer['error']> {
  const error = translate(thrown, file);
  if (error instanceof TollgateError) return { code: error.code, message: error.message };
  if (!(error instanceof Error)) return { code: null, message: String(error) };
  return { code: null, message: error.message, stack: error.stack };
}
