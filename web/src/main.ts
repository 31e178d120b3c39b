// Starts the page: one fleet, one stream, one view at a time.
import './styles/tokens.css';
import './styles/base.css';
import './styles/overview.css';
import './styles/publisher.css';
import { Fleet } from './fleet';
import { shapes } from './mark';
import { Overview } from './overview/overview';
import { Publisher } from './publisher/publisher';
import { follow, route } from './router';
import { Shell } from './shell';
import { Stream } from './stream';
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
  view = where.kind === 'overview' ? new Overview(fleet, stream) : where.kind === 'publisher' ? new Publisher(fleet, stream, where.id) : lost(where.path);
  shell.show(view);
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
