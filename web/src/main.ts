// Starts the page: one fleet, one stream, one view at a time.
import './styles/tokens.css';
import './styles/base.css';
import './styles/overview.css';
import './styles/publisher.css';
import './styles/swarm.css';
import { Fleet } from './fleet';
import { shapes } from './mark';
import { Overview } from './overview/overview';
import { Publisher } from './publisher/publisher';
import { follow, route } from './router';
import type { Route } from './router';
import { Shell } from './shell';
import { Stream } from './stream';
import { SwarmView } from './swarm/swarm';
import { apply } from './theme';
import { h } from './dom';

/** What is shown below the header. */
export interface View {
  root: HTMLElement;
  /** Beside the name in the header. */
  tools: HTMLElement;
  /** For the tab's title; `null` on the overview. */
  what: string | null;
  destroy(): void;
}

apply();
const fleet = new Fleet();
const stream = new Stream(fleet);
const shell = new Shell(fleet, stream);
document.getElementById('app')?.append(shapes(), shell.root);

let view: View | null = null;
let shown = '';

function show(): void {
  const where = route(location.pathname);
  if (shown === location.pathname && where.kind !== 'overview') return;
  shown = location.pathname;
  view?.destroy();
  view = make(where);
  shell.show(view);
}

function make(where: Route): View {
  switch (where.kind) {
    case 'overview': return new Overview(fleet, stream);
    case 'publisher': return new Publisher(fleet, stream, where.id);
    case 'swarm': return new SwarmView(stream);
    case 'lost': return lost(where.path);
  }
}

function lost(path: string): View {
  const root = h('main', { class: 'page note' }, h('h1', {}, 'There is nothing here'), h('p', {}, `No page is at ${path}.`),
    h('p', {}, h('a', { href: '/' }, 'All publishers')));
  return { root, tools: h('div', {}), what: 'nothing here', destroy: () => undefined };
}

history.scrollRestoration = 'manual'; // Each view has its own: a table that is not filled yet can't be scrolled.
addEventListener('popstate', show);
document.addEventListener('click', follow);
show();
stream.start();
