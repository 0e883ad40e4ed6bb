// The part of uPlot that the pages use, as the global that its script makes.

declare class uPlot {
  constructor(options: uPlot.Options, data: uPlot.AlignedData, place: HTMLElement);
  readonly ctx: CanvasRenderingContext2D;
  readonly over: HTMLDivElement;
  readonly data: uPlot.AlignedData;
  readonly cursor: { left?: number; top?: number; idx?: number | null };
  readonly select: { left: number; top: number; width: number; height: number };
  readonly scales: Record<string, { min?: number | null; max?: number | null }>;
  setData(data: uPlot.AlignedData, resetScales?: boolean): void;
  setSize(size: { width: number; height: number }): void;
  setSelect(box: { left: number; top: number; width: number; height: number }, fire?: boolean): void;
  posToVal(position: number, scale: string): number;
  destroy(): void;
  static join(tables: uPlot.AlignedData[]): uPlot.AlignedData;
}

declare namespace uPlot {
  type Column = (number | null | undefined)[];
  type AlignedData = [number[], ...Column[]];
  interface Series {
    label?: string;
    show?: boolean;
    stroke?: string;
    width?: number;
    dash?: number[];
    spanGaps?: boolean;
    points?: {
      show?: boolean | ((u: uPlot, series: number, from: number, to: number) => boolean);
      size?: number;
      fill?: string;
      stroke?: string;
      width?: number;
    };
  }
  interface Scale {
    time?: boolean;
    distr?: number;
    range?: (u: uPlot, low: number, high: number) => [number, number];
  }
  interface Axis {
    size?: number;
    space?: number;
    stroke?: string;
    font?: string;
    ticks?: { show: boolean };
    grid?: { stroke: string; width: number };
    values?: (u: uPlot, splits: number[]) => string[];
  }
  interface Options {
    width: number;
    height: number;
    legend?: { show: boolean };
    padding?: number[];
    series: Series[];
    scales: Record<string, Scale>;
    axes: Axis[];
    cursor: {
      sync?: { key: string; setSeries: boolean };
      drag?: { x: boolean; y: boolean; setScale: boolean };
      points?: { size: number; width: number };
      dataIdx?: (u: uPlot, series: number, at: number) => number | null;
      bind?: { dblclick: (u: uPlot) => (event: MouseEvent) => null };
    };
    hooks: { setSelect: ((u: uPlot) => void)[]; setCursor: ((u: uPlot) => void)[] };
  }
}
