/** What one PUBLISH carries in place of its topic. */
export interface AliasUse {
  readonly alias: number;
  /** The alias is new on this connection, or its topic is: the topic itself goes with it. */
  readonly withTopic: boolean;
}

/** Aliases of ours at most: a unit has few streams, and each costs the broker memory. */
const MOST_ALIASES = 64;
/** A topic that was not used for so many publications gives its alias up. */
const IDLE_USES = 256;

interface Owner {
  readonly alias: number;
  usedAt: number;
}

/**
 * Topic aliases of one connection, MQTT 5 §3.3.2.3.4: a topic goes once, then two bytes stand for it. They die with
 * the connection. Where more topics are in use than the broker grants, those that came first keep their alias: handing
 * it round would send every topic again and save nothing.
 */
export class TopicAliases {
  readonly #most: number;
  readonly #owners = new Map<string, Owner>();
  #uses = 0;

  /** @param granted Topic Alias Maximum of the broker's CONNACK; 0 where it named none */
  constructor(granted: number) {
    this.#most = Math.min(granted, MOST_ALIASES);
  }

  /** How this publication names its topic; null: in full. */
  use(topic: string): AliasUse | null {
    this.#uses++;
    const owner = this.#owners.get(topic);
    if (owner !== undefined) {
      owner.usedAt = this.#uses;
      return { alias: owner.alias, withTopic: false };
    }
    const alias = this.#owners.size < this.#most ? this.#owners.size + 1 : this.#reclaim();
    if (alias === null) return null;
    this.#owners.set(topic, { alias, usedAt: this.#uses });
    return { alias, withTopic: true };
  }

  #reclaim(): number | null {
    for (const [topic, { alias, usedAt }] of this.#owners) {
      if (this.#uses - usedAt <= IDLE_USES) continue;
      this.#owners.delete(topic);
      return alias;
    }
    return null;
  }
}
