// A stage on which each state occurs, each by what really brings it about.
import type { Process as Identity, State } from '../src/api';
import { startOf } from './stage';
import type { Stage } from './stage';

/** Publisher, state, cause. */
export const CAST: readonly (readonly [id: string, state: State, cause: string])[] = [
  ['web-1', 'alive', 'heard'],
  ['web-2', 'dead', 'process_gone'],
  ['nightly-backup', 'failed', 'reported'],
  ['cache-1', 'suspended', 'process_stopped'],
  ['camera-2', 'silent', 'process_runs'],
  ['hall/thermostat', 'unknown', 'no_identity'],
  ['boiler', 'blind', 'link_down'],
  ['garage-door', 'unseen', 'not_heard_yet'],
  ['db-1', 'paused', 'maintenance'],
  ['csv-import', 'finished', 'goodbye'],
];

/** What the backup says of its failure. */
export const FAILURE = 'rsync: connection to vault-3 lost after 214 files\nrsync error: error in socket IO (code 10)\n';

/** Sets it up, with hosts of fixed names where that is possible, and waits until all ten are there. */
export async function everyState(stage: Stage, threshold = '3s'): Promise<void> {
  stage.broker();
  const mqtt = await stage.mosquitto();
  const config = stage.file('subscriber.toml', "[publishers.garage-door]\nexpected = true\nthreshold = '1h'\n[publishers.boiler]\nthreshold = '1h'\n");
  await stage.subscriber({ threshold, options: ['--from', `mqtt://127.0.0.1:${mqtt.port}`, '--config', config] });
  const publish = (id: string, host: string): ReturnType<Stage['publisher']> => stage.publisher(id, { host, threshold });
  publish('web-1', 'rack-1');
  publish('db-1', 'rack-2');
  const dead = publish('web-2', 'rack-1'), suspended = publish('cache-1', 'rack-2'), finished = publish('csv-import', 'rack-1');
  await stage.are({ 'web-1': 'alive', 'db-1': 'alive', 'web-2': 'alive', 'cache-1': 'alive', 'csv-import': 'alive' });

  await dead.end('SIGKILL');
  suspended.signal('SIGSTOP');
  await finished.end('SIGINT');
  await stage.post('publishers/db-1/pause', '{"for":"2h"}');
  await stage.post('beat/hall%2Fthermostat');
  await stage.post('beat/nightly-backup/start');
  await stage.post('beat/nightly-backup/fail', FAILURE);
  await stage.feed([await hung(stage, 'camera-2', 'web-1')]);
  // Heard over MQTT alone, whose broker then goes.
  await stage.start('mosquitto_pub', 'mosquitto_pub', ['-p', String(mqtt.port), '-q', '1', '-t', 'sensor/boiler', '-m', '{"celsius":61.5}']).ended;
  await stage.are({ boiler: 'alive' });
  await mqtt.process.end('SIGKILL');
  await stage.are(Object.fromEntries(CAST.map(([id, state]) => [id, state])));
}

/** A message with the identity of a process that runs and says nothing more; all but the PID is as that of `like`. */
export async function hung(stage: Stage, id: string, like: string): Promise<[topic: string, payload: string]> {
  const sleeper = stage.start('sleep', 'sleep', ['1h']);
  const process: Identity = { ...(await stage.of(like)).process as Identity, pid: sleeper.pid, start: startOf(sleeper.pid) };
  return [`sensor/${id}`, JSON.stringify({ lastbeat: 1, host: 'rack-2', process, fields: { frames: 2917 } })];
}
