// The live connection: opens the events, fetches the snapshot, notices when nothing comes any more, and tries again.
import { Refused, address, overview } from './api';
import type { Flip, Hello, Judgement, Update } from './api';
import type { Fleet } from './fleet';
import { Signal } from './signal';

export type Connection =
  | { kind: 'connecting' }
  | { kind: 'live' }
  /** `since`: wall clock, ms; `retry`: `performance.now()` of the next try, `null` while it runs. */
  | { kind: 'cut'; since: number; retry: number | null; why: string }
  | { kind: 'locked' };

/** The server sends something at least every 5 s. */
const SILENCE_MS = 12_000;
const FIRST_RETRY_MS = 1_000, LAST_RETRY_MS = 30_000;
/** Updates held back for a snapshot; two minutes of them. */
const MOST_HELD = 240;
/** The monotonic clock may stand still while a machine sleeps: then silences here are too short, and are fetched anew. */
const SLEPT_MS = 5_000;

export class Stream {
  connection: Connection = { kind: 'connecting' };
  readonly changed = new Signal<Connection>();
  readonly flipped = new Signal<Flip>();
  readonly judged = new Signal<Judgement>();

  private source: EventSource | null = null;
  private fetching: AbortController | null = null;
  /** Updates that came while a snapshot was on its way. */
  private held: Update[] = [];
  private lastAt = 0;
  private lastWall = 0;
  private backoff = FIRST_RETRY_MS;
  private timer = 0;
  private drift = Date.now() - performance.now();

  constructor(private readonly fleet: Fleet) {}

  start(): void {
    setInterval(() => this.watch(), 1000);
    addEventListener('online', () => this.retry());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible' && this.connection.kind === 'cut') this.retry();
    });
    addEventListener('pagehide', () => this.close());
    addEventListener('pageshow', (event) => event.persisted && this.open());
    this.open();
  }

  /** Tries now instead of waiting. */
  retry(): void {
    if (this.connection.kind !== 'cut') return;
    this.say({ ...this.connection, retry: null });
    void this.probe();
  }

  private open(): void {
    this.close();
    this.heardNow();
    const source = (this.source = new EventSource(address('events')));
    const on = <T>(name: string, act: (data: T) => void): void =>
      source.addEventListener(name, (event) => {
        this.heardNow();
        act(JSON.parse((event as MessageEvent<string>).data) as T);
      });
    on<Hello>('hello', (hello) => void this.snapshot(hello.all_told));
    on<Update>('update', (update) => this.update(update));
    on<Flip>('flip', (flip) => this.flipped.emit(flip));
    on<Judgement>('judgement', (judgement) => this.judged.emit(judgement));
    on('resync', () => void this.snapshot());
    source.onerror = () => this.cut('the connection broke');
  }

  private close(): void {
    this.source?.close();
    this.source = null;
    this.fetching?.abort();
    this.fetching = null;
    this.held = [];
    clearTimeout(this.timer);
  }

  private heardNow(): void {
    this.lastAt = performance.now();
    this.lastWall = Date.now();
  }

  private update(update: Update): void {
    if (this.fetching) {
      if (this.held.push(update) > MOST_HELD) this.cut('the publishers could not be fetched');
    } else if (!this.fleet.update(update, performance.now())) {
      void this.snapshot(update.all_told);
    }
  }

  /** Fetches all publishers, or the figures of the whole alone where they are too many. */
  private async snapshot(all = !this.fleet.paged): Promise<void> {
    this.fetching?.abort();
    const fetching = (this.fetching = new AbortController());
    this.held = [];
    try {
      const snapshot = await overview(all ? undefined : 0, fetching.signal);
      if (this.fetching !== fetching) return;
      this.fetching = null;
      this.fleet.frozen = null;
      this.fleet.replace(snapshot, performance.now());
      for (const update of this.held.splice(0)) this.fleet.update(update, performance.now());
      this.backoff = FIRST_RETRY_MS;
      this.say({ kind: 'live' });
    } catch (error) {
      if (this.fetching === fetching) this.fail(error);
    }
  }

  /** Asks with a plain request first: an event source does not tell why it failed. */
  private async probe(): Promise<void> {
    this.close();
    const fetching = (this.fetching = new AbortController());
    try {
      await overview(1, fetching.signal);
      if (this.fetching === fetching) this.open();
    } catch (error) {
      if (this.fetching === fetching) this.fail(error);
    }
  }

  private fail(error: unknown): void {
    if (error instanceof Refused && error.status === 401) {
      this.close();
      this.say({ kind: 'locked' });
    } else {
      this.cut(error instanceof Error ? error.message : String(error));
    }
  }

  private cut(why: string): void {
    this.close();
    const since = this.connection.kind === 'cut' ? this.connection.since : this.lastWall;
    if (this.connection.kind !== 'cut') this.fleet.frozen = this.lastAt;
    // The first try comes at once: most cuts are a server that was started anew, or a login that ran out.
    const wait = this.connection.kind === 'cut' ? this.backoff * (0.8 + 0.4 * Math.random()) : 300;
    if (this.connection.kind === 'cut') this.backoff = Math.min(LAST_RETRY_MS, this.backoff * 2);
    this.timer = setTimeout(() => this.retry(), wait);
    this.say({ kind: 'cut', since, retry: performance.now() + wait, why });
  }

  private watch(): void {
    const drift = Date.now() - performance.now(), slept = Math.abs(drift - this.drift) > SLEPT_MS;
    this.drift = drift;
    if (!this.source) return;
    if (performance.now() - this.lastAt > SILENCE_MS) this.cut(`nothing came for ${SILENCE_MS / 1000} s`);
    else if (slept && !this.fetching) void this.snapshot();
  }

  private say(connection: Connection): void {
    this.connection = connection;
    this.changed.emit(connection);
  }
}
