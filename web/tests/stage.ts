// The programs of one test, in a folder of their own: a broker, publishers, and the subscriber that serves the page.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Detail, Overview, State } from '../src/api';
import { Process, until } from './process';

export const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PROGRAMS = process.env.LASTBEAT_PROGRAMS ?? join(ROOT, 'target/debug');
const FEED = fileURLToPath(new URL('feed.py', import.meta.url));

export interface Watching { threshold?: string; options?: string[]; env?: Record<string, string> }
export interface Publishing { csv?: string; threshold?: string; host?: string; options?: string[] }

export class Stage {
  /** Short, for socket files: their paths may have 107 bytes. */
  readonly folder = mkdtempSync(join(tmpdir(), 'lastbeat-'));
  readonly processes: Process[] = [];
  /** Where the page is; known when the subscriber runs. */
  url = '';
  private port = 0;
  private login: Record<string, string> = {};

  /** Ends all processes, last started first. */
  async close(): Promise<void> {
    await Promise.all(this.processes.reverse().map((one) => one.end()));
    rmSync(this.folder, { recursive: true, force: true });
  }

  start(name: string, command: string, args: readonly string[], env?: Record<string, string>): Process {
    const started = new Process(name, command, args, join(this.folder, `${name.replaceAll('/', '_')}.${this.processes.length}.log`), env);
    this.processes.push(started);
    return started;
  }

  /** Where publishers and the subscriber connect to; they wait for the broker. */
  publishers = `ipc://${this.folder}/publishers`;
  subscribers = `ipc://${this.folder}/subscribers`;

  broker(): Process {
    return this.start('broker', join(PROGRAMS, 'lastbeat-broker'), ['--publishers', this.publishers, '--subscribers', this.subscribers]);
  }

  /** The watchdog with its page: on a free port, when it is started again on the same. */
  async subscriber({ threshold = '3s', options = [], env = {} }: Watching = {}): Promise<Process> {
    const started = this.start('subscriber', join(PROGRAMS, 'lastbeat-subscriber'), [
      '--from', `zmq+${this.subscribers}`, '--store', join(this.folder, 'lastbeat.db'), '--name', 'stage', '--plain',
      '--http', `127.0.0.1:${this.port}`, '--threshold', threshold, ...options,
    ], env);
    this.url = (await started.says(/the live page is at (\S+)/))[1] ?? '';
    this.port = Number(new URL(this.url).port);
    return started;
  }

  /** A broker and a subscriber. */
  async watch(watching?: Watching): Promise<Process> {
    this.broker();
    return this.subscriber(watching);
  }

  /** Replays a CSV file, five rows a second unless `options` say otherwise. With `host` under that host's name, where one may set it. */
  publisher(id: string, { csv = join(ROOT, 'data/machine-quiet.csv'), threshold = '3s', host, options = ['--every', '200ms'] }: Publishing = {}): Process {
    const args = ['csv', csv, '--id', id, '--to', `zmq+${this.publishers}`, '--threshold', threshold,
      '--spool', join(this.folder, 'spool'), ...options];
    const program = join(PROGRAMS, 'lastbeat-publisher');
    if (!host || process.getuid?.() !== 0) return this.start(id, program, args);
    // In a UTS namespace of its own, under the same PID.
    return this.start(id, 'unshare', ['--uts', '--', 'sh', '-c', 'hostname "$0" && exec "$@"', host, program, ...args]);
  }

  /** Writes a file into the folder. */
  file(name: string, text: string): string {
    writeFileSync(join(this.folder, name), text);
    return join(this.folder, name);
  }

  /** Publishes messages of foreign publishers through the ZeroMQ broker. */
  async feed(messages: Iterable<readonly [topic: string, payload: string]>): Promise<void> {
    const file = this.file(`feed-${this.processes.length}`, [...messages].map((one) => `${JSON.stringify(one)}\n`).join(''));
    const fed = this.start('feed', '/usr/bin/python3', [FEED, this.publishers, file]);
    await fed.says(/^done$/m);
    await fed.end();
  }

  /** An MQTT broker; gives its port. */
  async mosquitto(): Promise<{ port: number; process: Process }> {
    const port = await freePort();
    const config = this.file('mosquitto.conf', `listener ${port} 127.0.0.1\nallow_anonymous true\nuser root\n`);
    const started = this.start('mosquitto', '/usr/sbin/mosquitto', ['-v', '-c', config]);
    await started.says(/mosquitto version \S+ running/);
    return { port, process: started };
  }

  /** Sets the login that `api` and `post` show. */
  as(user: string, password: string): void {
    this.login = { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` };
  }

  /** Asks the API, below /api/v1/. */
  async api<T>(path: string, init: RequestInit = {}): Promise<T> {
    const answer = await fetch(`${this.url}api/v1/${path}`, { ...init, headers: this.login });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return (answer.headers.get('content-type')?.includes('json') ? answer.json() : answer.text()) as Promise<T>;
  }

  post(path: string, body = ''): Promise<unknown> {
    return this.api(path, { method: 'POST', body });
  }

  of(id: string): Promise<Detail> {
    return this.api(`publishers/${encodeURIComponent(id)}`);
  }

  /** Waits until these publishers are in these states. */
  async are(states: Record<string, State>): Promise<void> {
    let rows = new Map<string, State>();
    const wrong = (): string => Object.entries(states).filter(([id, state]) => rows.get(id) !== state)
      .map(([id, state]) => `${id} is ${state} (it is ${rows.get(id) ?? 'not known'})`).join(', ');
    try {
      await until('all are as wanted', async () => {
        rows = new Map((await this.api<Overview>('publishers')).publishers.map((row) => [row.id, row.state]));
        return !wrong();
      });
    } catch (error) {
      throw new Error(`waited in vain until ${wrong()}`, { cause: error });
    }
  }
}

/** When a process was started, as the protocol has it: clock ticks since boot, field 22 of its stat. */
export function startOf(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]);
}

export function freePort(): Promise<number> {
  return new Promise((found, failed) => {
    const server = createServer().once('error', failed).listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => found(port));
    });
  });
}
