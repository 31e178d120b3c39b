// What stands here before the first publisher: how to be one.
import type { Link } from '../api';
import { h } from '../dom';

export function teach(links: readonly Link[]): HTMLElement {
  const broker = links.map((link) => /^mqtts?:\/\/(?:[^@/]*@)?([^:/?]+|\[[^\]]+\])(?::(\d+))?/.exec(link.name)).find(Boolean);
  const port = broker?.[2] && broker[2] !== '1883' ? ` -p ${broker[2]}` : '';
  const mqtt = `mosquitto_pub -h ${broker?.[1] ?? '127.0.0.1'}${port} -t sensor/kitchen -m '{"celsius":21.5}'`;
  return h('div', { class: 'teach' },
    h('h2', {}, 'Nobody has been heard yet'),
    h('p', {}, 'Anything that sends a message becomes a publisher, and is watched from then on. Its row appears here at once.'),
    h('h3', {}, 'A job or a script, over HTTP'),
    command(`curl ${location.origin}/api/v1/beat/my-job`),
    h('p', {}, 'With ', h('code', {}, '/start'), ' before and ', h('code', {}, '/fail'), ' after a failure; what is posted (', h('code', {}, '-d "…"'),
      ') is kept as its log.'),
    h('h3', {}, 'A reading, over MQTT'),
    command(mqtt),
    h('h3', {}, 'This machine'),
    command('lastbeat-publisher host --id web-1 --to zmq+tcp://127.0.0.1:5555'));
}

function command(line: string): HTMLElement {
  const button = h('button', { type: 'button', class: 'quiet', onclick: () => void copy() }, 'Copy');
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(line);
      button.textContent = 'Copied';
    } catch {
      button.textContent = 'Select and copy it';
    }
    setTimeout(() => (button.textContent = 'Copy'), 2000);
  };
  return h('div', { class: 'command' }, h('pre', { tabindex: 0 }, line), button);
}
