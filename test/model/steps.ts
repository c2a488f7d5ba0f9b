import type { Rules } from './rules.ts';
import { CONSUMERS, COPY, ENTRY, RELAYS, STAGE, type State } from './state.ts';

export interface Step {
  readonly what: string;
  readonly state: State;
  /** Things that go wrong need not happen; the others go on happening until none is left. */
  readonly isFault: boolean;
}

/** All that can happen next. `isBounded` when something more could, but for the bound on copies. */
export function steps(state: State, rules: Rules): { readonly steps: Step[]; readonly isBounded: boolean } {
  const found: Step[] = [];
  const add = (what: string, change: (next: State) => void, isFault = false) => {
    if (isFault && state.faults >= state.size.faults) return;
    const next = state.copy();
    change(next);
    if (isFault && Number.isFinite(state.size.faults)) next.countFault();
    found.push({ what, state: next, isFault });
  };
  producer(state, rules, add);
  const isBounded = relays(state, rules, add);
  consumers(state, rules, add);
  return { steps: found, isBounded };
}

type Add = (what: string, change: (next: State) => void, isFault?: boolean) => void;

function producer(state: State, rules: Rules, add: Add): void {
  const { keys } = state.size;
  for (let m = 0; m < state.messages; m++) {
    const stage = state.message(m, 'stage');
    const isKeyHeld = keys.some((key, other) => key === keys[m] && state.message(other, 'stage') === STAGE.inserted);
    if (stage === STAGE.idle && !(rules.keyLock && isKeyHeld)) {
      add(`event ${m} is inserted`, (next) => {
        next.setMessage(m, 'stage', STAGE.inserted);
        next.setMessage(m, 'id', next.nextId());
      });
    }
    if (stage !== STAGE.inserted) continue;
    add(`event ${m} is committed`, (next) => {
      next.setMessage(m, 'stage', STAGE.committed);
      next.setMessage(m, 'rank', next.nextRank());
      next.setMessage(m, 'row', 1);
    });
    add(`event ${m} is rolled back`, (next) => next.setMessage(m, 'stage', STAGE.rolledBack), true);
  }
}

/** Of messages, those of the same key with a lower id, or a higher one. */
const before = (state: State, m: number, other: number): boolean =>
  state.size.keys[other] === state.size.keys[m] && state.message(other, 'id') < state.message(m, 'id');

function relays(state: State, rules: Rules, add: Add): boolean {
  const { messages } = state;
  const all = Array.from({ length: messages }, (_, m) => m);
  let isBounded = false;
  const owner = state.leaseOwner;
  if (owner > 0) {
    const expire = (next: State) => {
      next.leaseOwner = 0;
      next.setLive(owner - 1, false);
      for (const m of all) if (next.entry(owner - 1, m) === ENTRY.read) next.setEntry(owner - 1, m, ENTRY.none);
    };
    add(`relay ${owner - 1}'s lease runs out`, expire, state.isLive(owner - 1));
  }
  for (let r = 0; r < RELAYS; r++) {
    if (owner === 0) {
      add(`relay ${r} takes the lease`, (next) => {
        next.leaseOwner = r + 1;
        next.setLive(r, true);
        next.setMark(r, 0);
      });
    }
    /** What is read behind it must be read again, behind it. */
    const reopen = (next: State, m: number) => {
      for (const other of all) {
        if (next.entry(r, other) === ENTRY.read && before(next, other, m)) next.setEntry(r, other, ENTRY.none);
      }
    };
    const visible = all.filter((m) => {
      if (state.message(m, 'row') === 0 || state.message(m, 'backsOff') === 1) return false;
      if (state.entry(r, m) !== ENTRY.none) return false;
      if (!rules.readFromStart && state.message(m, 'id') <= state.mark(r)) return false;
      const waits = (other: number) =>
        before(state, m, other) && state.message(other, 'row') === 1 && state.message(other, 'backsOff') === 1;
      return !(rules.backOffHoldsKey && all.some(waits));
    });
    if (state.isLive(r) && visible.length > 0) {
      add(`relay ${r} reads ${visible.join(', ')}`, (next) => {
        for (const m of visible) {
          next.setEntry(r, m, ENTRY.read);
          next.setMark(r, Math.max(next.mark(r), next.message(m, 'id')));
        }
      });
    }
    for (const m of all) {
      const entry = state.entry(r, m);
      const isBlocked = all.some((other) => {
        const theirs = state.entry(r, other);
        return (
          before(state, m, other) &&
          (theirs === ENTRY.read || (rules.relayLane && (theirs === ENTRY.sent || theirs === ENTRY.stored)))
        );
      });
      if (entry === ENTRY.read && state.isLive(r) && !isBlocked) {
        add(`relay ${r} sends ${m}`, (next) => {
          next.setWire(r, [...state.wire(r), m]);
          next.setEntry(r, m, rules.confirm ? ENTRY.sent : ENTRY.confirmed);
        });
      }
      if (entry === ENTRY.stored)
        add(`relay ${r} hears that ${m} is confirmed`, (next) => next.setEntry(r, m, ENTRY.confirmed));
      if (entry === ENTRY.confirmed) {
        add(`relay ${r} deletes ${m}`, (next) => {
          next.setEntry(r, m, ENTRY.none);
          if (next.leaseOwner === r + 1) next.setMessage(m, 'row', 0);
        });
      }
    }
    const [first, ...rest] = state.wire(r);
    if (first !== undefined) {
      const isTaken = state.message(first, 'copies') < state.size.copies;
      if (!isTaken) isBounded = true;
      const take = (next: State) => {
        next.setMessage(first, 'copies', state.message(first, 'copies') + 1);
        next.setWire(r, rest);
        next.append(first);
        if (next.entry(r, first) === ENTRY.sent) next.setEntry(r, first, ENTRY.stored);
      };
      if (isTaken) add(`the broker takes ${first} of relay ${r}`, take);
      if (state.message(first, 'refused') === 0 && state.entry(r, first) === ENTRY.sent) {
        const refuse = (next: State) => {
          next.setWire(r, rest);
          next.setMessage(first, 'refused', 1);
          next.setEntry(r, first, ENTRY.none);
          next.setMessage(first, 'backsOff', 1);
          reopen(next, first);
        };
        add(`the broker refuses ${first} of relay ${r}`, refuse, true);
      }
    }
    const unsettled = all.filter((m) => state.entry(r, m) === ENTRY.sent || state.entry(r, m) === ENTRY.stored);
    if (unsettled.length > 0 || first !== undefined) {
      const cut = (next: State) => {
        next.setWire(r, []);
        for (const m of unsettled) {
          next.setEntry(r, m, rules.unknownIsSentAgain ? ENTRY.none : ENTRY.confirmed);
          if (rules.unknownIsSentAgain) reopen(next, m);
        }
      };
      add(`relay ${r} is cut from the broker`, cut, true);
    }
    if (state.isLive(r) || unsettled.length > 0 || all.some((m) => state.entry(r, m) !== ENTRY.none)) {
      const crash = (next: State) => {
        next.setWire(r, []);
        next.setLive(r, false);
        next.setMark(r, 0);
        for (const m of all) next.setEntry(r, m, ENTRY.none);
      };
      add(`relay ${r} is killed`, crash, true);
    }
  }
  for (const m of all) {
    if (state.message(m, 'backsOff') === 1)
      add(`the back-off of ${m} is over`, (next) => next.setMessage(m, 'backsOff', 0));
  }
  return isBounded;
}

function consumers(state: State, rules: Rules, add: Add): void {
  const places = Array.from({ length: state.slots }, (_, i) => i).filter((i) => state.slotMessage(i) >= 0);
  const isRunning = (m: number) =>
    state.message(m, 'orphan') > 0 ||
    places.some((i) => state.slotMessage(i) === m && state.slotCopy(i) === COPY.running);
  const takeEffect = (next: State, m: number) => {
    next.addEffect(m);
    next.setMessage(m, 'inbox', 1);
  };
  for (let m = 0; m < state.messages; m++) {
    if (state.message(m, 'orphan') === 0) continue;
    add(`the run of ${m} commits, its delivery being lost`, (next) => {
      next.setMessage(m, 'orphan', 0);
      takeEffect(next, m);
    });
    add(`the run of ${m} is rolled back, its delivery being lost`, (next) => next.setMessage(m, 'orphan', 0), true);
  }
  const ready = places.find((i) => state.slotHolder(i) === 0);
  for (let c = 0; c < CONSUMERS; c++) {
    const mine = places.filter((i) => state.slotHolder(i) === c + 1);
    const isActive = !rules.singleActiveConsumer || state.active === c;
    if (ready !== undefined && isActive) {
      add(`consumer ${c} is brought ${state.slotMessage(ready)}`, (next) => next.setSlot(ready, c + 1, COPY.waiting));
    }
    for (const i of mine) {
      const m = state.slotMessage(i);
      const copy = state.slotCopy(i);
      const isBehind = mine.some((other) => {
        const isSameKey = state.size.keys[state.slotMessage(other)] === state.size.keys[m];
        return other < i && isSameKey && state.slotCopy(other) !== COPY.handled;
      });
      if (copy === COPY.waiting && !(rules.consumerLane && isBehind)) {
        if (rules.inbox && state.message(m, 'inbox') === 1) {
          add(`consumer ${c} finds ${m} done`, (next) => next.setSlot(i, c + 1, COPY.handled));
        } else if (!rules.inbox || !isRunning(m)) {
          add(`consumer ${c} begins ${m}`, (next) => {
            next.setSlot(i, c + 1, COPY.running);
            if (!rules.inboxInTransaction) next.setMessage(m, 'inbox', 1);
            if (rules.ackAfterEffect) return;
            next.remove(i);
            next.setMessage(m, 'orphan', c + 1);
          });
        }
      }
      if (copy === COPY.running) {
        add(`consumer ${c} commits ${m}`, (next) => {
          next.setSlot(i, c + 1, COPY.handled);
          takeEffect(next, m);
        });
        if (state.message(m, 'failed') === 0) {
          const fail = (next: State) => {
            next.setSlot(i, c + 1, COPY.resting);
            next.setMessage(m, 'failed', 1);
          };
          add(`consumer ${c} fails ${m}, which rests`, fail, true);
        }
      }
      if (copy === COPY.resting)
        add(`consumer ${c} takes ${m} up again`, (next) => next.setSlot(i, c + 1, COPY.waiting));
      if (copy === COPY.handled) add(`consumer ${c} acks ${m}`, (next) => next.remove(i));
    }
    const giveBack = (next: State) => {
      for (const i of mine) next.setSlot(i, 0, COPY.ready);
    };
    const hasOrphan = Array.from({ length: state.messages }, (_, m) => m).filter(
      (m) => state.message(m, 'orphan') === c + 1,
    );
    if (mine.length > 0) {
      const lose = (next: State) => {
        for (const i of mine)
          if (state.slotCopy(i) === COPY.running) next.setMessage(state.slotMessage(i), 'orphan', c + 1);
        if (!rules.loseAllAtOnce) beginBehind(state, next, mine, c);
        giveBack(next);
        next.active = (c + 1) % CONSUMERS;
      };
      add(`consumer ${c} loses its connection`, lose, true);
      if (state.active === c && !rules.leaveInOneStep) {
        const leave = (next: State) => {
          next.active = (c + 1) % CONSUMERS;
        };
        add(`consumer ${c} leaves the queue`, leave, true);
      }
    }
    if (mine.length > 0 || hasOrphan.length > 0) {
      const crash = (next: State) => {
        giveBack(next);
        for (const m of hasOrphan) next.setMessage(m, 'orphan', 0);
        next.active = (c + 1) % CONSUMERS;
      };
      add(`consumer ${c} is killed`, crash, true);
    }
  }
}

/** What a key does that goes on while the deliveries behind are not known to be lost. */
function beginBehind(state: State, next: State, mine: readonly number[], c: number): void {
  const resting = mine.find((i) => state.slotCopy(i) === COPY.resting);
  if (resting === undefined) return;
  const key = state.size.keys[state.slotMessage(resting)];
  const behind = mine.find(
    (i) => i > resting && state.size.keys[state.slotMessage(i)] === key && state.slotCopy(i) === COPY.waiting,
  );
  if (behind === undefined) return;
  const m = state.slotMessage(behind);
  if (state.message(m, 'inbox') === 0 && state.message(m, 'orphan') === 0) next.setMessage(m, 'orphan', c + 1);
}
