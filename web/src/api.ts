// What the server says and takes: the types of its JSON, and one function a request. Times in `…_at`, `at`, `from`, `to` and the like are
// RFC 3339 UTC strings; spans end in `_s` and are seconds; series have seconds since 1970.

export type State =
  | 'dead' | 'failed' | 'suspended' | 'silent' | 'unknown' | 'blind' | 'unseen' | 'paused' | 'finished' | 'alive';

/** One publisher. `index` is its place in the order in which they became known; stable while the server's `instance` lives. */
export interface Row {
  index: number;
  id: string;
  host: string | null;
  state: State;
  cause: string;
  /** The cause as a phrase. */
  reason: string;
  alive: boolean | null;
  since: string;
  last_heard: string | null;
  silence_s: number | null;
  threshold_s: number;
  pid: number | null;
  /** Messages per second over the last minute. */
  rate: number;
  messages: number;
  readings: number;
  missed: number;
  duplicates: number;
  late: number;
  refused: number;
  retained: number;
  restarts: number;
  conflicts: number;
}

/** `round_trip_s`: of the watchdog's own message through the broker and back. */
export interface Link { name: string; up: boolean; reason: string | null; round_trip_s: number | null }
export interface Follower { name: string; behind_bytes: number; trouble: string | null; set_aside: number; held: string | null }
export interface Totals { messages: number; refused: number; duplicates: number; unknown: number; not_kept: number }
export type States = Partial<Record<State, number>>;

/** The figures of the whole, as they are in a snapshot and in each update. */
export interface Figures {
  revision: number;
  now: string;
  states: States;
  totals: Totals;
  rate: number;
  links: Link[];
  followers: Follower[];
  /** Whether updates tell of each publisher that changed; of very many they do not, and those in sight are to be asked for. */
  all_told: boolean;
}

/** `matching`: how many match the filter, whatever the limit and the offset. */
export interface Overview extends Figures { instance: string; matching: number; publishers: Row[] }

export interface Hello { instance: string; revision: number; now: string; all_told: boolean }

/** index, last_heard (seconds since 1970), silence_s, rate, messages, missed, duplicates, late. */
export type Heard = [number, number | null, number | null, number, number, number, number, number];

export interface Update extends Figures { rows: Row[]; heard: Heard[] }

export interface Evidence { at: string; source: string; fact: unknown; text: string }

export interface Process { host: string; boot: string; pidns?: number; pid: number; start: number }

export type FieldType = 'float' | 'integer' | 'boolean' | 'text';
export type Value = number | boolean | string;
export interface Field { name: string; type: FieldType; latest: Value | null; latest_at: string | null }

export interface Detail extends Row {
  process: Process | null;
  paused_until: string | null;
  adaptive: { gaps: number; usual_s: number; longest_s: number; phi: number | null } | null;
  evidence: Evidence[];
  fields: Field[];
}

/** Exact values, or one entry a bucket. `null` where the field is absent. */
export type Series =
  | { type: FieldType; values: (Value | null)[] }
  | { type: FieldType; min: (number | null)[]; max: (number | null)[]; mean: (number | null)[] };

export interface Readings {
  publisher: string;
  from: string;
  to: string;
  rows: number;
  bucket_s: number | null;
  time: number[];
  fields: Record<string, Series>;
}

export interface Span { from: string; to: string; state: State; cause: string; watched: boolean }

export interface History {
  publisher: string;
  from: string;
  to: string;
  spans: Span[];
  alive_s: number;
  watched_s: number;
  alive_share: number | null;
}

export interface Flip {
  /** Absent in the stream. */
  position?: number;
  publisher: string;
  host: string | null;
  from: State;
  to: State;
  cause: string;
  reason: string;
  at: string;
  noticed_at: string;
  silence_s: number | null;
  last_heard: string | null;
  evidence: Evidence[];
  text: string;
}

export interface Flips { flips: Flip[]; next: number | null }
export interface Rates { from: string; to: string; points: number; rates: Record<string, (number | null)[]> }
export interface LogEntry { at: string; kind: 'start' | 'beat' | 'fail' | 'bye'; took_s: number | null; body: string; truncated: boolean }

/** How a target of a swarm stands. */
export interface TargetStand {
  target: string;
  since: string;
  reach: 'all' | 'some' | 'none' | 'unclear' | 'unknown';
  level: 'well' | 'warn' | 'critical';
  witnesses: number;
  reaching: number;
  slow: number;
  failing: string[];
  own_links: number;
  text: string;
}
/** How an agent of a swarm stands. */
export interface AgentStand { agent: string; since: string; link: 'well' | 'down' | 'unclear' | 'unknown'; targets: number; failing: number; text: string }
/** What an agent found out last about a target. Round trips in ms, loss in percent. */
export interface PingResult {
  target: string;
  agent: string;
  time: string;
  loss: number | null;
  avg: number | null;
  error: string | null;
  grade: 'well' | 'warn' | 'critical' | 'failed' | 'unmeasured' | 'stale';
}
export interface Swarm { now: string; targets: TargetStand[]; agents: AgentStand[]; results: PingResult[]; beyond: number }
export type Judgement = { target: TargetStand } | { agent: AgentStand };

/** An answer that is not 2xx, or none at all (`status` 0). */
export class Refused extends Error {
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

const BASE = '/api/v1/';
type Query = Record<string, string | number | null | undefined | string[]>;

/** The address of a request below /api/v1/. */
export function address(path: string, query: Query = {}): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined) search.append(key, String(one));
    }
  }
  const text = search.toString();
  return BASE + path + (text ? `?${text}` : '');
}

/** A publisher's path, its id as one segment. */
export function of(id: string, rest = ''): string {
  return `publishers/${encodeURIComponent(id)}${rest}`;
}

async function ask<T>(url: string, init: RequestInit = {}): Promise<T> {
  let answer: Response;
  try {
    answer = await fetch(url, { cache: 'no-store', credentials: 'same-origin', ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new Refused(0, 'the server does not answer');
  }
  if (!answer.ok) throw new Refused(answer.status, await told(answer));
  return (await answer.json()) as T;
}

async function told(answer: Response): Promise<string> {
  try {
    const problem = (await answer.json()) as { title?: string; detail?: string };
    return problem.detail ?? problem.title ?? answer.statusText;
  } catch {
    return `${answer.status} ${answer.statusText}`;
  }
}

type Signal = AbortSignal | undefined;
const with_ = (signal: Signal): RequestInit => (signal ? { signal } : {});
const post = (url: string, body: unknown): Promise<Row> =>
  ask<Row>(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });

export const overview = (limit?: number, signal?: Signal): Promise<Overview> => ask(address('publishers', { limit }), with_(signal));
/** Those in sight of the ones that match, in the order of `sort` (a column, `-` before it for the greatest first). */
export const found = (query: { search: string; state: string; sort: string; offset: number; limit: number }, signal?: Signal): Promise<Overview> =>
  ask(address('publishers', { ...query, search: query.search || undefined, state: query.state || undefined }), with_(signal));
export const publisher = (id: string, signal?: Signal): Promise<Detail> => ask(address(of(id)), with_(signal));
export const readings = (
  id: string, query: { since: string; until?: string | undefined; points: number; field: string[] }, signal?: Signal,
): Promise<Readings> => ask(address(of(id, '/readings'), query), with_(signal));
export const history = (id: string, since: string, signal?: Signal): Promise<History> =>
  ask(address(of(id, '/states'), { since }), with_(signal));
export const flips = (id: string | null, limit: number, before?: number | null, signal?: Signal): Promise<Flips> =>
  ask(address(id === null ? 'flips' : of(id, '/flips'), { limit, before }), with_(signal));
export const rates = (ids: string[], signal?: Signal): Promise<Rates> =>
  ask(address('rates', { id: ids, since: '30m', points: 30 }), with_(signal));
export const log = (id: string, signal?: Signal): Promise<{ entries: LogEntry[] }> => ask(address(of(id, '/log'), { limit: 50 }), with_(signal));
export const swarm = (signal?: Signal): Promise<Swarm> => ask(address('swarm'), with_(signal));
/** Pauses for a span (`15m`); without one until resumed. */
export const pause = (id: string, span: string | null): Promise<Row> => post(address(of(id, '/pause')), span ? { for: span } : {});
export const resume = (id: string): Promise<Row> => post(address(of(id, '/resume')), {});
