import { parentPort } from 'node:worker_threads';
import { TollgateError } from '#contracts';
import type { Ack } from './contract.ts';
import type { Answer, Message, Request } from './protocol.ts';
import { meterRows, recipientOf, recordsAbout } from './queries.ts';
import { Writer } from './writer.ts';

/** The writer's thread: one request after the other, each answered once. */
const port = parentPort!;
const pubacked: number[] = [];
const acks: Ack[] = [];
const gathered: number[] = [];
let writer: Writer | null = null;
let gatherMs = 0;
let gathering: NodeJS.Timeout | undefined;

const nowMs = () => Math.floor(Number(process.hrtime.bigint() / 1_000_000n));

port.on('message', ({ id, request }: Message) => {
  if (request.op === 'pubacked' || request.op === 'ack') {
    gather(id, request);
    return;
  }
  if (request.op !== 'take' && request.op !== 'stats') flushAnswers();
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

function serve(request: Exclude<Request, { op: 'pubacked' | 'ack' }>): unknown {
  if (request.op === 'open') {
    writer = new Writer(request.settings);
    gatherMs = request.gatherMs;
    return writer.opened();
  }
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
      return writer.proof(request.material, request.payload, request.link);
    case 'take':
      return writer.take(request.limit, request.pseudonym);
    case 'requeue':
      return writer.requeue(request.olderThanMs, nowMs());
    case 'resend':
      return writer.resend(request.pseudonym);
    case 'withdraw':
      return { dropped: writer.withdraw(request.agreement, request.leaf), head: writer.head() };
    case 'stats':
      return writer.stats();
    case 'meter':
      return meterRows(writer.db);
    case 'records':
      return recordsAbout(writer.db, request.query);
    case 'recipient':
      return recipientOf(writer.db, request.stream);
    case 'close':
      return writer.close();
  }
}

function gather(id: number, request: Extract<Request, { op: 'pubacked' | 'ack' }>): void {
  if (request.op === 'ack') acks.push(request.ack);
  else pubacked.push(...request.ids);
  gathered.push(id);
  gathering ??= setTimeout(flushAnswers, gatherMs);
}

function flushAnswers(): void {
  clearTimeout(gathering);
  gathering = undefined;
  if (gathered.length === 0) return;
  const ids = gathered.splice(0);
  const before = writer?.queued ?? 0;
  let error: Answer['error'];
  try {
    writer?.answers(pubacked.splice(0), acks.splice(0), nowMs());
  } catch (thrown) {
    error = described(thrown);
  }
  const ready = (writer?.queued ?? 0) > before;
  for (const id of ids) post(error === undefined ? { id, ready } : { id, ready, error });
}

function described(error: unknown): NonNullable<Answer['error']> {
  if (error instanceof TollgateError) return { code: error.code, message: error.message };
  if (!(error instanceof Error)) return { code: null, message: String(error) };
  return { code: null, message: error.message, stack: error.stack };
}
