// What the browser's tab shows: the counts in its title, the worst state as its icon.
import type { State, States } from './api';
import { picture } from './mark';
import { summary, worst } from './states';
import type { Connection } from './stream';

/** On light and dark tab strips alike. */
const COLOURS: Record<State, string> = {
  dead: '#e5483a', failed: '#d6408f', suspended: '#8e6be8', silent: '#d98a06', unknown: '#6d82e8',
  blind: '#8d8377', unseen: '#7d8b92', paused: '#2f8fd6', alive: '#27a267', finished: '#6f8791',
};

let icon = '';

/** `what` names the view; `null` on the overview. */
export function tab(states: States | undefined, connection: Connection, what: string | null): void {
  const counts = states ? summary(states) : '';
  const cut = connection.kind === 'cut' ? '(cut) ' : '';
  const title = `${cut}${[what, counts].filter(Boolean).join(' · ')}${counts || what ? ' – ' : ''}Lastbeat`;
  if (document.title !== title) document.title = title;
  const state = states ? worst(states) : null;
  const shown = connection.kind === 'cut' ? 'blind' : state;
  if (!shown || icon === shown) return;
  icon = shown;
  document.querySelector<HTMLLinkElement>('link[rel=icon]')?.setAttribute('href', picture(shown, COLOURS[shown]));
}
