import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { TollgateError, type TrustAnchor } from '#contracts';
import {
  accept,
  type ConsentDocument,
  type ConsentState,
  emptyState,
  end,
  inForce,
  type Judge,
  readConsentDocument,
  type Verdict,
  versionKey,
} from '#policies/consent/index';
import { parseJws } from '#policies/credentials/index';
import { consentLeaf, keyLeaf } from '#wire';
import { type Documents, planned } from '../documents.ts';
import type { Issuers } from '../keys.ts';
import { type Log, logError } from '../log.ts';
import { spoolLabel } from '../spool-keys.ts';
import type { Unit } from '../unit.ts';
import { type Answer, type AnswerSigner, refusal, signAnswer } from './answer.ts';
import { RollbackGuard } from './counter.ts';
import { DocumentFolder, type KeptDocument } from './folder.ts';
import { recover } from './recover.ts';

/** What the control channel asks of the uplink. */
export interface Sender {
  /** No row leaves while `work` runs. */
  hold<T>(work: () => Promise<T>): Promise<T>;
  /** An answer to a document; rejects where no connection stands. */
  tell(answer: Uint8Array): Promise<void>;
}

export interface ControlOptions {
  readonly unit: Unit;
  /** As loaded; what is in force of them is this room's to say. */
  readonly documents: Documents;
  readonly issuers: Issuers;
  readonly anchor: TrustAnchor;
  /** Name of the unit's ledger key. */
  readonly name: string;
  readonly signer: AnswerSigner;
  /** Folder of the documents, beside the store. */
  readonly folder: string;
  /** UTC of the host, ms since 1970; null where it is not known. */
  readonly utcMs: () => number | null;
  readonly log: Log;
}

/** How often time is looked at: ends of credentials, status lists that get too old, ms. */
const LOOK_MS = 250;
/** The row that keeps the newest time this unit has seen; below it the time is unknown. */
const FLOOR = { issuer: 'urn:tollgate:clock', document: 'floor' };
/** It is written this often: a commit costs flash. */
const FLOOR_MS = 3_600_000;
/** Clocks of this unit and of those who sign differ by less, ms. */
const TOLERANCE_MS = 300_000;
/** What waits behind a document reaches us in this time, ms. */
const NEXT_DOCUMENT_MS = 25;
/** Refusals that wait for a connection; the oldest go. */
const MOST_REFUSALS = 64;
const NOTHING = async (): Promise<void> => undefined;
const NO_HASH = new Uint8Array(32);
/** Marks that a withdrawal was carried out to its end. */
const DONE_ISSUER = 'urn:tollgate:withdrawn';
const ID_BYTES = 8;

/**
 * The control channel of a unit: judges the documents that come, makes what they say durable, and keeps the plan that
 * follows from them in force. One document at a time.
 */
export class Control {
  /** The anchor has counted more than the store knows: an older copy of the disk was put back. Nothing is in force. */
  readonly rolledBack: boolean;
  readonly #options: ControlOptions;
  #documents: Documents;
  readonly #folder: DocumentFolder;
  readonly #guard: RollbackGuard;
  #sender: Sender | null = null;
  /** Answers that need not outlive the process. */
  readonly #refusals: Answer[] = [];
  #state: ConsentState;
  /** Withdrawn: neither a bare document nor a credential of this uid counts. */
  readonly #withdrawn = new Set<string>();
  /** Bare documents are the word of the owner at enrolment. */
  #sold = false;
  /** A document was committed and not carried out to its end. */
  #unfinished = false;
  #files = new Map<string, { readonly key: string; readonly kind: ConsentDocument['kind'] }>();
  #turn: Promise<unknown> = Promise.resolve();
  #flushing: Promise<void> = Promise.resolve();
  #applied = '';
  #nextMs = Number.POSITIVE_INFINITY;
  #lookedMs: number | null = null;
  #floorMs: number;
  /** The newest time that this process has seen. */
  #seenMs = Number.NEGATIVE_INFINITY;
  #timer: NodeJS.Timeout | undefined;

  private constructor(options: ControlOptions, folder: DocumentFolder, guard: RollbackGuard, rolledBack: boolean) {
    this.#options = options;
    this.#documents = options.documents;
    this.#folder = folder;
    this.#guard = guard;
    this.rolledBack = rolledBack;
    this.#state = emptyState(options.issuers.owner);
    this.#floorMs = options.unit.store.version(FLOOR.issuer, FLOOR.document)?.version ?? 0;
  }

  /**
   * Recovers what was in force, ends what a power cut left half ended, judges the credentials of the configuration, and
   * swaps the plan that follows into the unit. Before any source or uplink starts.
   */
  static async open(options: ControlOptions): Promise<Control> {
    const { unit, folder, anchor, documents, log } = options;
    const guard = new RollbackGuard(unit.store, anchor);
    const kept = new DocumentFolder(folder);
    const control = new Control(options, kept, guard, !(await guard.step()));
    if (control.rolledBack) log.warn('consent-rolled-back', { code: 'TG_CONSENT_ROLLBACK' });
    await control.#recover(await kept.load());
    for (const { file, bytes } of documents.credentials) await control.#offer(bytes, file);
    await control.#apply(true);
    unit.onIgnitionOff = (timeNs) => control.#driveEnded(timeNs);
    control.#timer = setInterval(() => void control.#look().catch((error) => control.#trouble(error)), LOOK_MS);
    control.#timer.unref();
    return control;
  }

  /** The uplink exists: withdrawals hold it, answers go through it. */
  connect(sender: Sender): void {
    this.#sender = sender;
  }

  get state(): ConsentState {
    return this.#state;
  }

  /** Agreements that are given and do not count now, with the reason. */
  get suspended(): readonly { readonly agreement: string; readonly reason: string }[] {
    return inForce(this.#state, this.#now()).suspended;
  }

  /**
   * Campaigns, law packs and agreements of the configuration were read again; databases stay as they are.
   *
   * @throws {TollgateError} what `compilePlan` throws, TG_RECIPIENT_UNKNOWN: what was in force stays
   */
  async reload(documents: Documents): Promise<void> {
    await this.#inTurn(async () => {
      const before = this.#documents;
      this.#documents = documents;
      try {
        this.#mustCompile(this.#state);
      } catch (error) {
        this.#documents = before;
        throw error;
      }
      for (const { file, bytes } of documents.credentials) await this.#offer(bytes, file);
      await this.#apply(true);
    });
  }

  /** A document that came over the network. Resolves when what it says is durable and the answer is kept. */
  async receive(bytes: Uint8Array): Promise<Answer> {
    const answer = await this.#inTurn(async () => {
      const given = await this.#judge(trimmed(bytes), 'rx/doc', (one) => this.#keep(one));
      // A refusal changes nothing, so it may be lost; were it written, strangers could make withdrawals wait for the disk.
      if (given.verdict !== 'accepted') this.#say(given);
      return given;
    });
    // Not awaited: the connection reads no PUBACK while this document holds it.
    void this.flush();
    return answer;
  }

  /**
   * Whether a document is signed by the owner or a body that rates, and is above what was accepted. Cheap for a
   * stranger's: the header says whose it would be, and then it is one signature.
   */
  mustTake(bytes: Uint8Array): boolean {
    const { issuers, unit } = this.#options;
    const heard = (did: string) => did === this.#state.owner || issuers.standing.includes(did);
    try {
      if (!heard(parseJws(bytes, 'rx/doc').kid.split('#')[0]!)) return false;
      const { credential, subject, version } = readConsentDocument(trimmed(bytes), 'rx/doc', issuers.pinned);
      const newest = unit.store.version(credential.issuer, subject);
      // One that was accepted and not carried out to its end is taken once more.
      return heard(credential.issuer) && (newest === null || version > newest.version || this.#unfinished);
    } catch {
      return false;
    }
  }

  /** Sends the answers that wait; what no broker takes waits on. */
  async flush(): Promise<void> {
    const sender = this.#sender;
    if (sender === null) return;
    const last = this.#flushing;
    this.#flushing = (async () => {
      await last;
      await this.#send(sender);
    })().catch((error: unknown) => {
      if (error instanceof TollgateError) logError(this.#options.log, 'answer-unsent', error);
      else this.#options.log.warn('answer-unsent');
    });
    await this.#flushing;
  }

  async #keep(answer: Answer): Promise<void> {
    await this.#folder.addAnswer(await signAnswer(answer, this.#options.signer));
  }

  /** Signed when it is sent: a chip takes its time, and what waits behind a stranger's document may be a withdrawal. */
  #say(answer: Answer): void {
    this.#refusals.push(answer);
    if (this.#refusals.length > MOST_REFUSALS) this.#refusals.shift();
  }

  async #send(sender: Sender): Promise<void> {
    for (let answer = this.#refusals[0]; answer !== undefined; answer = this.#refusals[0]) {
      try {
        await sender.tell(await signAnswer(answer, this.#options.signer));
      } catch {
        return;
      }
      if (this.#refusals[0] === answer) this.#refusals.shift();
    }
    for (const { file, bytes } of await this.#folder.answers()) {
      try {
        await sender.tell(bytes);
      } catch {
        return;
      }
      await this.#folder.remove([file]);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#turn;
  }

  /** A credential of the configuration; one that is older than what is in force says nothing. */
  async #offer(bytes: Uint8Array, file: string): Promise<void> {
    const answer = await this.#judge(trimmed(bytes), file);
    if (answer.verdict !== 'refused') return;
    this.#options.log.warn('document-refused', { code: answer.code ?? '' });
  }

  /** @param keep what else is to be done before the uplink goes on */
  async #judge(bytes: Uint8Array, file: string, keep: (answer: Answer) => Promise<void> = NOTHING): Promise<Answer> {
    const { unit, issuers, log } = this.#options;
    const hash = sha256(bytes);
    const refused = async (error: unknown): Promise<Answer> => {
      if (!(error instanceof TollgateError)) throw error;
      logError(log, 'document-refused', error);
      return refusal(hash, error, (await unit.store.head()).size);
    };
    let document: ConsentDocument;
    let verdict: Verdict;
    try {
      document = readConsentDocument(bytes, file, issuers.pinned);
      const newest = unit.store.version(document.credential.issuer, document.subject);
      if (newest?.version === document.version && Buffer.compare(newest.hash, hash) === 0)
        return await this.#known(hash);
      if (newest !== null && document.version <= newest.version) throw replayed(document, newest.version);
      verdict = accept(this.#state, document, this.#judgement());
      // What closes is not refused because the rest makes no plan: then nothing is in force.
      const closes = verdict.withdrawn.length > 0 || (document.kind === 'consent' && document.act === 'suspend');
      if (!closes) this.#mustCompile(verdict.state);
    } catch (error) {
      return await refused(error);
    }
    const withdrawn = [...verdict.withdrawn, ...this.#bareOf(document)];
    // What closes takes effect now, before it is durable; what opens only afterwards.
    const before = this.#state;
    if (withdrawn.length > 0) {
      this.#state = verdict.state;
      for (const uid of withdrawn) this.#withdrawn.add(uid);
      unit.withdraw(withdrawn);
    }
    const narrowed = verdict.acts.filter(({ act }) => act === 'limit').map(({ agreement }) => agreement);
    if (narrowed.length > 0) unit.end(narrowed);
    try {
      return await this.#held(async () => {
        const answer = await this.#carryOut(document, verdict, withdrawn, bytes, hash);
        await keep(answer);
        return answer;
      });
    } catch (error) {
      // A full disk: what was closed stays closed, and the same document is taken when it comes again.
      const committed = unit.store.version(document.credential.issuer, document.subject)?.version === document.version;
      this.#unfinished ||= committed;
      if (withdrawn.length > 0 && !committed) this.#state = end(before, [...withdrawn, ...this.#state.ended]);
      throw error;
    }
  }

  /** Withdrawn, and their rows or keys may still be there: a full disk, a power cut. */
  get #begun(): readonly string[] {
    const { store } = this.#options.unit;
    return [...this.#withdrawn].filter((uid) => store.version(DONE_ISSUER, uid) === null);
  }

  async #finish(): Promise<void> {
    if (!this.#unfinished) return;
    await this.#held(async () => {
      for (const uid of this.#begun) await this.#destroy(uid);
      await this.#apply();
    });
    this.#unfinished = false;
  }

  async #known(hash: Uint8Array): Promise<Answer> {
    await this.#finish();
    const { size } = await this.#options.unit.store.head();
    return {
      document: hash,
      verdict: 'known',
      code: null,
      pointer: null,
      ledgerSize: size,
      dropped: null,
      suspended: null,
    };
  }

  /** Makes it durable: bytes, version with its leaf, then rows and keys of what was withdrawn, then the counter. */
  async #carryOut(
    document: ConsentDocument,
    verdict: Verdict,
    withdrawn: readonly string[],
    bytes: Uint8Array,
    hash: Uint8Array,
  ): Promise<Answer> {
    const { unit } = this.#options;
    const { issuer } = document.credential;
    const kept = await this.#folder.add(bytes);
    const [first, ...rest] = verdict.acts.map(({ act, agreement }) => consentLeaf(unit.leafTime, act, agreement, hash));
    for (const leaf of rest) unit.store.leaf(leaf);
    const version = { issuer, document: document.subject, version: document.version, hash };
    await unit.store.accept(version, first ?? null);
    // A drive that ended meanwhile stays ended.
    this.#state = end(verdict.state, [...this.#state.ended]);
    if (document.kind === 'ownership') this.#sold = true;
    let dropped = 0;
    for (const uid of withdrawn) dropped += await this.#destroy(uid);
    await this.#prune(document, kept);
    await this.#apply();
    await this.#guard.step();
    await this.#noteTime();
    const { size } = await unit.store.head();
    const reason = document.kind === 'agreement' ? this.#reasonOf(document.subject) : null;
    return {
      document: hash,
      verdict: 'accepted',
      code: null,
      pointer: null,
      ledgerSize: size,
      dropped: withdrawn.length > 0 ? dropped : null,
      suspended: reason,
    };
  }

  #reasonOf(uid: string): string | null {
    return this.suspended.find(({ agreement }) => agreement === uid)?.reason ?? null;
  }

  /** Rows, then the key: a key without rows opens nothing, rows without a key are nothing. */
  async #destroy(uid: string): Promise<number> {
    const { unit } = this.#options;
    const id = sha256(Buffer.from(spoolLabel(uid))).subarray(0, ID_BYTES);
    const dropped = await unit.store.withdraw(uid, keyLeaf(unit.leafTime, 'destroy', 'spool', id));
    await unit.spool.destroy(uid);
    await unit.store.accept({ issuer: DONE_ISSUER, document: uid, version: 1, hash: NO_HASH }, null);
    return dropped;
  }

  /** Bare documents of a vehicle that is sold are the old owner's; a withdrawal names its own. */
  #bareOf(document: ConsentDocument): readonly string[] {
    if (document.kind !== 'ownership') return [];
    return this.#documents.bare.map(({ uid }) => uid).filter((uid) => !this.#withdrawn.has(uid));
  }

  /**
   * No row leaves while a document is carried out, and a moment longer: the next one may be a withdrawal that has waited
   * behind it, and its 100 ms run already.
   */
  #held<T>(work: () => Promise<T>): Promise<T> {
    const sender = this.#sender;
    if (sender === null) return work();
    return new Promise<T>((resolve, reject) => {
      const held = async () => {
        await work().then(resolve, reject);
        await sleep(NEXT_DOCUMENT_MS);
      };
      sender.hold(held).catch(reject);
    });
  }

  /** A grant that no plan can be made of is refused before anything of it is kept. */
  #mustCompile(state: ConsentState): void {
    const { plan } = this.#planned(state);
    for (const { recipient } of plan.streams) this.#options.unit.mustKnow(recipient);
  }

  #planned(state: ConsentState): Documents {
    const documents = this.#documents;
    const nowMs = this.#now();
    if (this.rolledBack) return planned(documents, [], new Map(), nowMs);
    const { agreements, recipients } = inForce(state, nowMs);
    const bare = this.#sold ? [] : documents.bare;
    const uids = new Set([...state.agreements.keys(), ...state.ended, ...this.#withdrawn]);
    return planned(documents, [...bare.filter(({ uid }) => !uids.has(uid)), ...agreements], recipients, nowMs);
  }

  /** Brings into force what the state says now. */
  async #apply(always = false): Promise<void> {
    const nowMs = this.#now();
    const { agreements, recipients, nextMs, suspended } = inForce(this.#state, nowMs);
    this.#nextMs = nextMs;
    this.#lookedMs = nowMs;
    const said = JSON.stringify([
      agreements.map(({ uid, version, hash }) => [uid, version, Buffer.from(hash).toString('hex')]),
      [...recipients],
      [...this.#withdrawn],
      this.#sold,
    ]);
    if (said === this.#applied && !always) return;
    await this.#options.unit.swap(this.#compiled());
    this.#applied = said;
    if (suspended.length > 0) this.#options.log.info('agreements-suspended', { count: suspended.length });
  }

  /** A set that no plan can be made of must not leave a wider one in force. */
  #compiled(): Documents {
    try {
      return this.#planned(this.#state);
    } catch (error) {
      if (!(error instanceof TollgateError)) throw error;
      logError(this.#options.log, 'documents-refused', error);
      return planned(this.#documents, [], new Map(), this.#now());
    }
  }

  /** Time goes on: what has ended, begun or grown too old. */
  async #look(): Promise<void> {
    if (this.#unfinished) await this.#inTurn(() => this.#finish());
    const nowMs = this.#now();
    const before = this.#lookedMs;
    const steady = nowMs !== null && before !== null && nowMs >= before && nowMs < this.#nextMs;
    if (steady || (nowMs === null && before === null)) {
      if (nowMs !== null) this.#lookedMs = nowMs;
      if (nowMs !== null && nowMs >= this.#floorMs + FLOOR_MS) await this.#inTurn(() => this.#noteTime());
      return;
    }
    this.#lookedMs = nowMs;
    await this.#inTurn(() => this.#apply());
  }

  /** The store takes nothing, or a set does not compile: what is closed stays closed, and the next look tries again. */
  #trouble(error: unknown): void {
    // Neither a time nor "unknown": whatever comes next is looked at.
    this.#lookedMs = Number.NaN;
    if (error instanceof TollgateError) logError(this.#options.log, 'documents-refused', error);
    else this.#options.log.warn('documents-refused');
  }

  /** Between two samples: consents of the drive are over. */
  #driveEnded(timeNs: number): void {
    const uids = driveScoped(this.#state);
    if (uids.length === 0) return;
    this.#state = end(this.#state, uids);
    this.#options.unit.end(uids, timeNs);
    void this.#inTurn(() => this.#apply()).catch((error: unknown) => this.#trouble(error));
  }

  /**
   * UTC as far as it can be believed; null: unknown, and everything that credentials give rests. It does not go back: who
   * sets the clock must not lengthen what has ended.
   */
  #now(): number | null {
    const nowMs = this.#options.utcMs();
    const newest = Math.max(this.#floorMs, this.#seenMs);
    if (nowMs === null || nowMs < newest - TOLERANCE_MS) return null;
    this.#seenMs = Math.max(this.#seenMs, nowMs);
    return Math.max(nowMs, newest);
  }

  /** A clock that is set back makes the time unknown; so the newest time is kept. */
  async #noteTime(): Promise<void> {
    const nowMs = this.#now();
    if (nowMs === null || nowMs < this.#floorMs + FLOOR_MS) return;
    await this.#options.unit.store.accept({ ...FLOOR, version: nowMs, hash: NO_HASH }, null);
    this.#floorMs = nowMs;
  }

  #judgement(): Judge {
    const { name, issuers } = this.#options;
    const documents = this.#documents;
    const catalogue = { signals: documents.signals, byName: documents.byName };
    return { unit: name, standing: new Set(issuers.standing), catalogue, nowMs: this.#now() };
  }

  /** What was in force when the agent stopped; what a power cut ended in the middle is done to its end. */
  async #recover(kept: readonly KeptDocument[]): Promise<void> {
    const { unit, issuers, log } = this.#options;
    const { nowMs: _, ...judge } = this.#judgement();
    const recovered = recover(kept, {
      issuers,
      judge,
      bare: this.#documents.bare.map(({ uid }) => uid),
      committed: (issuer, subject) => unit.store.version(issuer, subject),
    });
    for (const error of recovered.refused) logError(log, 'document-refused', error);
    await this.#folder.remove(recovered.stray);
    this.#files = new Map(recovered.files);
    this.#sold = recovered.sold;
    for (const uid of recovered.withdrawn) this.#withdrawn.add(uid);
    // No drive outlives the agent: nobody saw whether the ignition went off.
    this.#state = end(recovered.state, driveScoped(recovered.state));
    for (const uid of this.#withdrawn) {
      if (unit.store.version(DONE_ISSUER, uid) === null) await this.#destroy(uid);
      else await unit.spool.destroy(uid);
    }
  }

  /** Lists and standings come often, and only the newest of each counts. */
  async #prune({ credential, subject, kind }: ConsentDocument, { file }: KeptDocument): Promise<void> {
    const key = versionKey(credential.issuer, subject);
    const replaces = kind === 'status' || kind === 'standing';
    const old = [...this.#files].filter(([, one]) => replaces && one.key === key).map(([name]) => name);
    for (const name of old) this.#files.delete(name);
    this.#files.set(file, { key, kind });
    if (old.length > 0) await this.#folder.remove(old);
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => undefined);
    return turn;
  }
}

function driveScoped({ agreements }: ConsentState): string[] {
  return [...agreements].filter(([, { document }]) => document.scope === 'drive').map(([uid]) => uid);
}

function replayed({ credential, subject, version }: ConsentDocument, newest: number): TollgateError {
  const message = `version ${version} of ${subject} came after version ${newest}`;
  return new TollgateError('TG_CONSENT_VERSION', message, {
    place: { file: credential.file, pointer: '/credentialSubject' },
  });
}

function trimmed(bytes: Uint8Array): Uint8Array {
  let size = bytes.length;
  while (size > 0 && bytes[size - 1]! <= 0x20) size--;
  return bytes.subarray(0, size);
}

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest());
