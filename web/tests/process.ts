// One real process: started, signalled, waited for.
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** All that run; none outlives this one, however it ends. */
const running = new Set<Process>();
process.on('exit', () => running.forEach((one) => one.child.kill('SIGKILL')));

export class Process {
  readonly child: ChildProcess;
  readonly ended: Promise<void>;
  private over: string | null = null;

  /** What it says goes to the file `log`. */
  constructor(readonly name: string, command: string, args: readonly string[], readonly log: string, env: Record<string, string> = {}) {
    const out = openSync(log, 'a');
    this.child = spawn(command, args, { stdio: ['pipe', out, out], env: { ...process.env, NO_COLOR: '1', ...env } });
    closeSync(out);
    running.add(this);
    this.ended = new Promise((done) => {
      const end = (how: string): void => {
        this.over = how;
        running.delete(this);
        done();
      };
      this.child.once('exit', (code, signal) => end(signal ?? `exit code ${code}`));
      this.child.once('error', (error) => end(error.message));
    });
    this.child.stdin?.on('error', () => undefined); // It may have been killed.
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error(`${this.name} was not started: ${this.over}`);
    return this.child.pid;
  }

  said(): string {
    return readFileSync(this.log, 'utf8');
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.child.kill(signal)) throw new Error(`${this.name} is not there for ${signal}: ${this.over}`);
  }

  /** Sends a signal that ends it, and waits until it has. */
  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.over === null) this.child.kill(signal);
    await this.ended;
  }

  /** Waits until it has said something. */
  async says(what: RegExp): Promise<RegExpMatchArray> {
    return until(`${this.name} says ${what}`, () => {
      const found = what.exec(this.said());
      if (!found && this.over !== null) throw new Error(`${this.name} ended (${this.over}):\n${this.said()}`);
      return found;
    });
  }
}

const LOOK_MS = 25, PATIENCE_MS = 90_000;

/** Waits for a condition, and gives what it gave. */
export async function until<T>(what: string, condition: () => T | Promise<T>): Promise<NonNullable<T>> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end;) {
    const found = await condition();
    if (found) return found;
    await new Promise((again) => setTimeout(again, LOOK_MS));
  }
  throw new Error(`waited ${PATIENCE_MS / 1000} s in vain until ${what}`);
}
