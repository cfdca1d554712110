import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { CAN_EFF_FLAG, filterPairs, type IdMask } from '#contracts';
import { type SocketcanModule, socketcanDriver } from '#firmware-bridge/can/socketcan';
import { passesKernel } from '../contracts/filters.ts';

type Channel = ReturnType<SocketcanModule['createRawChannelWithOptions']>;
type Message = { id: number; ext?: boolean; rtr?: boolean; err?: boolean; data: Uint8Array };

const GROUP: IdMask = { id: 0x80fef100, mask: 0xc3ffff00 };
const data = new Uint8Array(8);

/** npm's package as far as we use it, over a kernel that filters. */
function fakePackage() {
  const asked: (readonly IdMask[])[] = [];
  let tell: (message: Message) => void = () => undefined;
  const channel = {
    addListener: (event: string, listener: (message: Message) => void) => {
      if (event === 'onMessage') tell = listener;
    },
    setRxFilters: (filters: readonly IdMask[]) => void asked.push(filters),
    start: () => undefined,
    stop: () => undefined,
  } as Channel;
  const say = (id: number, ext = false) => {
    const word = ext ? id + CAN_EFF_FLAG : id;
    const filters = asked.at(-1);
    if (filters === undefined || filters.some((filter) => passesKernel(filter, word))) tell({ id, ext, data });
  };
  return {
    asked,
    say,
    tell: (message: Message) => tell(message),
    driver: socketcanDriver({ createRawChannelWithOptions: () => channel }),
  };
}

function opened(pairs: Uint32Array | null) {
  const fake = fakePackage();
  const heard: number[] = [];
  const options = { interface: 'can0', slotBytes: 24, batchFrames: 64, channel: 0, perSecond: 0, receiveBuffer: 0 };
  const socket = fake.driver.open({ ...options, pairs, coalesceMs: 1 }, (bytes, count) => {
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < count; i++) heard.push(view.getUint32(i * 24 + 8, true));
    socket.resume();
  });
  return { ...fake, socket, heard };
}

const sayAll = ({ say }: Pick<ReturnType<typeof fakePackage>, 'say'>) => {
  say(0x100);
  say(0x200);
  say(0x18fef103, true);
  say(0x18feca03, true);
};

describe("npm's socketcan as the driver", () => {
  it('is given ids and masks, and others while it is open', async () => {
    const { socket, heard, asked, say } = opened(filterPairs({ ids: [[0x100]], masks: [[GROUP]] }, 0));
    sayAll({ say });
    await sleep(20);
    expect(heard.splice(0)).toEqual([0x100, 0x98fef103]);
    socket.refilter(filterPairs({ ids: [[0x200]] }, 0));
    sayAll({ say });
    await sleep(20);
    expect(heard.splice(0)).toEqual([0x200]);
    expect(asked).toEqual([[GROUP, { id: 0x100, mask: 0xc00007ff }], [{ id: 0x200, mask: 0xc00007ff }]]);
    expect(socket).toMatchObject({ filteredBy: 'kernel', counters: { skipped: 0 } });
    socket.close();
  });

  it('lets nothing through where the plan wants nothing, which the package has no word for', async () => {
    const { socket, heard, say, asked } = opened(filterPairs({ ids: [[]] }, 0));
    sayAll({ say });
    await sleep(20);
    expect(heard).toEqual([]);
    expect(asked[0]).toHaveLength(1);
    expect(socket.counters.received).toBe(0);
    socket.close();
  });

  it('filters by itself what is too much for the kernel', async () => {
    const many = Array.from({ length: 513 }, (_, i) => 0x180 + i);
    const { socket, heard, say } = opened(filterPairs({ ids: [many] }, 0));
    sayAll({ say });
    await sleep(20);
    expect(heard).toEqual([0x200]);
    expect(socket).toMatchObject({ filteredBy: 'receiver', counters: { received: 4, skipped: 3 } });
    socket.refilter(null);
    say(0x100);
    await sleep(20);
    expect([heard.at(-1), socket.filteredBy]).toEqual([0x100, 'nobody']);
    socket.close();
  });
});
