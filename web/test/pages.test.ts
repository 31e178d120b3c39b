import { afterEach, expect, test, vi } from 'vitest';
import { MOST, Pages } from '../src/overview/pages';
import { parse } from '../src/order';

afterEach(() => vi.unstubAllGlobals());

/** A server of so many publishers, and what it was asked. */
function serve(matching: number): URLSearchParams[] {
  const asked: URLSearchParams[] = [];
  vi.stubGlobal('fetch', async (url: string) => {
    const query = new URL(url, 'http://here').searchParams, offset = Number(query.get('offset')), limit = Number(query.get('limit'));
    asked.push(query);
    const row = (_: unknown, i: number) => ({ index: i, id: `p${offset + i}`, host: null, last_heard: null });
    const publishers = Array.from({ length: Math.max(0, Math.min(limit, matching - offset)) }, row);
    return new Response(JSON.stringify({ matching, publishers }), { headers: { 'content-type': 'application/json' } });
  });
  return asked;
}

test('the rows in sight are asked for once while they are fresh, and anew where the reader scrolls or asks', async () => {
  const asked = serve(1_000_000);
  let told = 0;
  const pages = new Pages(() => told++);
  const question = parse('?q=pump&state=dead,silent&sort=-silence');
  for (const _ of [1, 2]) await pages.want(question, 0, 40);
  expect([asked.length, told, pages.matching, pages.rows.length]).toEqual([1, 1, 1_000_000, MOST]);
  expect(Object.fromEntries(asked[0] as URLSearchParams)).toEqual({ search: 'pump', state: 'dead,silent', sort: '-silence', offset: '0', limit: '90' });
  expect([pages.rows[89]?.id, pages.rows[90]]).toEqual(['p89', undefined]);
  await pages.want(question, 5_000, 5_040);
  expect([asked[1]?.get('offset'), pages.rows[0], pages.rows[5_000]?.id]).toEqual(['4950', undefined, 'p5000']);
  await pages.want(parse(''), 5_000, 5_040);
  expect([asked.length, asked[2]?.get('sort'), asked[2]?.get('search')]).toEqual([3, 'state', null]);
});

test('an entry stays the same object while it is in sight, and the end is no reason to ask again', async () => {
  const asked = serve(30);
  const pages = new Pages(() => undefined);
  await pages.want(parse(''), 0, 20);
  const before = pages.rows[7];
  await pages.want(parse('?sort=id'), 0, 20);
  expect(pages.rows[7]).toBe(before);
  await pages.want(parse('?sort=id'), 0, 64);
  expect([asked.length, pages.rows.length]).toEqual([2, 30]);
});

test('no more is asked for than is shown', async () => {
  const asked = serve(1_000_000);
  await new Pages(() => undefined).want(parse(''), MOST - 10, MOST + 30);
  expect([asked[0]?.get('offset'), asked[0]?.get('limit')]).toEqual([String(MOST - 60), '60']);
});
