// Which view the address means, and moving between them without loading anew.

export type Route = { kind: 'overview' } | { kind: 'swarm' } | { kind: 'publisher'; id: string } | { kind: 'lost'; path: string };

export const link = (id: string): string => `/p/${encodeURIComponent(id)}`;

export function route(path: string): Route {
  if (path === '/' || path === '/index.html') return { kind: 'overview' };
  if (path === '/swarm') return { kind: 'swarm' };
  const coded = /^\/p\/(.+)$/.exec(path)?.[1];
  if (!coded) return { kind: 'lost', path };
  try {
    return { kind: 'publisher', id: decodeURIComponent(coded) };
  } catch {
    return { kind: 'lost', path };
  }
}

/** Goes there; the listener of `popstate` shows it. */
export function go(href: string): void {
  history.pushState(null, '', href);
  dispatchEvent(new PopStateEvent('popstate'));
}

/** Plain clicks on links of this page stay in it; with a modifier, or to elsewhere, they are the browser's. */
export function follow(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
  const anchor = event.target instanceof Element ? event.target.closest('a') : null;
  if (!anchor || anchor.target || anchor.hasAttribute('download') || anchor.hash || anchor.origin !== location.origin) return;
  if (route(anchor.pathname).kind === 'lost') return;
  event.preventDefault();
  go(anchor.pathname + anchor.search);
}
