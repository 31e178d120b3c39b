// One field's chart, drawn by uPlot. Loaded only when a chart comes into sight.
import uPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import { clock, day, ticks } from '../format';
import { themed } from '../theme';
import type { Lines } from './gaps';

export interface Look {
  boolean: boolean;
  /** A part of the chart was dragged over. Seconds since 1970. */
  zoom(from: number, to: number): void;
  reset(): void;
  /** What is under the crosshair; `null` when it left. */
  point(at: { time: number; values: (number | null)[] } | null): void;
}

const HEIGHT = 150;
const DRAG_LEAST = 6;
const style = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const FONT = '11px system-ui, sans-serif';

export class Chart {
  private readonly plot: uPlot;
  private readonly unlisten: () => void;
  private readonly sized: ResizeObserver;
  private range: [number, number];

  constructor(root: HTMLElement, data: Lines, range: [number, number], private readonly look: Look) {
    this.range = range;
    this.plot = new uPlot(this.options(data, root.clientWidth), aligned(data), root);
    this.unlisten = themed.listen(() => this.plot.redraw(false));
    this.sized = new ResizeObserver(() => root.clientWidth && this.plot.setSize({ width: root.clientWidth, height: HEIGHT }));
    this.sized.observe(root);
  }

  /** How many lines it was made for: a mean with its band, or exact values. */
  fits(data: Lines): boolean {
    return this.plot.series.length === data.lines.length + 1;
  }

  set(data: Lines, range: [number, number]): void {
    this.range = range;
    this.plot.setData(aligned(data));
  }

  destroy(): void {
    this.unlisten();
    this.sized.disconnect();
    this.plot.destroy();
  }

  private options(data: Lines, width: number): uPlot.Options {
    const { boolean } = this.look;
    const main = (): string => style('--chart');
    const stepped = uPlot.paths.stepped?.({ align: 1 });
    const line: uPlot.Series = { stroke: main, width: 1.5, points: { show: (_u, _s, from, to) => to - from < 60, size: 4, fill: main }, spanGaps: false };
    if (boolean && data.lines.length === 1 && stepped) line.paths = stepped;
    // The edges are drawn, too: a band one bucket wide would hardly be seen.
    const edge: uPlot.Series = { stroke: () => style('--chart-band'), width: 1, points: { show: false }, spanGaps: false };
    const axis = { stroke: () => style('--ink-3'), font: FONT, grid: { stroke: () => style('--line'), width: 1 }, ticks: { show: false } };
    const banded = data.lines.length === 3;
    return {
      width, height: HEIGHT, padding: [8, 24, 0, 0],
      legend: { show: false },
      cursor: {
        y: false,
        drag: { x: true, y: false, setScale: false },
        focus: { prox: -1 },
        points: { size: 7, show: true },
        // Dragging and double clicks are one chart's; the crosshair is all charts'.
        sync: { key: 'readings', scales: ['x', null], filters: { pub: (type) => type === 'mousemove' || type === 'mouseleave' } },
        bind: { dblclick: () => () => (this.look.reset(), null) },
      },
      scales: { x: { time: true, range: () => this.range }, y: boolean ? { range: [-0.15, 1.15] } : {} },
      series: banded ? [{}, line, edge, edge] : [{}, line],
      bands: banded ? [{ series: [3, 2], fill: () => style('--chart-band') }] : [],
      axes: [
        { ...axis, size: 32, space: 70, values: (_u, splits, _a, _s, step) => times(splits, step) },
        {
          ...axis, space: 28, size: (_u, labels) => Math.max(44, 12 + 7 * Math.max(0, ...(labels ?? []).map((label) => label.length))),
          ...(boolean ? { splits: () => [0, 1], values: () => ['false', 'true'] } : { values: (_u: uPlot, splits: number[]) => ticks(splits) }),
        },
      ],
      hooks: {
        setSelect: [(u) => this.selected(u)],
        setCursor: [(u) => this.pointed(u)],
      },
    };
  }

  private selected(u: uPlot): void {
    const { left, width } = u.select;
    if (width < DRAG_LEAST) return;
    const from = u.posToVal(left, 'x'), to = u.posToVal(left + width, 'x');
    u.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.look.zoom(from, to);
  }

  private pointed(u: uPlot): void {
    const at = u.cursor.idx;
    const time = at === null || at === undefined ? undefined : u.data[0][at];
    this.look.point(time === undefined || at == null ? null : { time, values: u.data.slice(1).map((line) => line[at] ?? null) });
  }
}

const aligned = (data: Lines): uPlot.AlignedData => [data.time, ...data.lines] as uPlot.AlignedData;

/** Hours and minutes of the reader's zone; the day below, wherever it is another than the one before. */
function times(splits: number[], step: number): string[] {
  const now = new Date();
  let before = day(now, now);
  return splits.map((tick) => {
    const at = new Date(tick * 1000), today = day(at, now), told = clock(at);
    const time = step >= 86_400 ? today : step < 60 ? told : told.slice(0, 5);
    const below = step >= 86_400 || today === before ? '' : `\n${today}`;
    before = today;
    return time + below;
  });
}
