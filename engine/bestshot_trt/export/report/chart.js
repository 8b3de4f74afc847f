// The take's curves on a canvas: zoomed by wheel, drag, pinch, buttons and keys; what is under the pointer is told.

const LAYER_HEIGHT = 58;
const SCORE_HEIGHT = 250;
const STRIP_HEIGHT = 62;
const AXIS_HEIGHT = 26;
const SIDE = 10;
const FEWEST_SECONDS = 2;
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200];

/** Seconds as h:mm:ss.s. */
function clock(seconds, digits = 1) {
  const scale = 10 ** digits;
  const whole = Math.round(seconds * scale);
  const rest = whole % (60 * scale);
  const minutes = Math.floor(whole / (60 * scale));
  const second = String(Math.floor(rest / scale)).padStart(2, "0");
  const part = digits ? `.${String(rest % scale).padStart(digits, "0")}` : "";
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${second}${part}`;
}

/** The number with four digits, and no more than four behind the point. */
function shortNumber(value) {
  if (!Number.isFinite(value)) return "n/a";
  if (Math.abs(value) >= 1000) return value.toFixed(0);
  return String(Number(Math.abs(value) < 1 ? value.toFixed(4) : value.toPrecision(4)));
}

class Chart {
  /** `told(index, place)` hears what is pointed at (null: nothing), `clicked(index)` what is clicked. */
  constructor(canvas, track, { thumbnails, told, clicked, moved }) {
    Object.assign(this, { canvas, track, thumbnails, told, clicked, moved });
    this.layers = [];
    this.view = [0, track.duration];
    this.cursor = null;
    this.pointers = new Map();
    this.context = canvas.getContext("2d");
    this.listen();
    new ResizeObserver(() => this.draw()).observe(canvas);
  }

  /** Show a selection: its scores, picks and rejections. */
  show(selection) {
    this.selection = selection;
    this.draw();
  }

  setLayers(layers) {
    this.layers = layers;
    this.draw();
  }

  get width() {
    return this.canvas.clientWidth - 2 * SIDE;
  }

  x(time) {
    return SIDE + ((time - this.view[0]) / (this.view[1] - this.view[0])) * this.width;
  }

  time(x) {
    return this.view[0] + ((x - SIDE) / this.width) * (this.view[1] - this.view[0]);
  }

  /** Zoom by a factor about a time, which stays where it is. */
  zoom(factor, about = this.cursorTime() ?? (this.view[0] + this.view[1]) / 2) {
    const [start, end] = this.view;
    const length = Math.min(Math.max((end - start) * factor, Math.min(FEWEST_SECONDS, this.track.duration)), this.track.duration);
    this.look(about - ((about - start) / (end - start)) * length, length);
  }

  pan(share) {
    this.look(this.view[0] + share * (this.view[1] - this.view[0]), this.view[1] - this.view[0]);
  }

  fit() {
    this.look(0, this.track.duration);
  }

  look(start, length) {
    const first = Math.min(Math.max(start, 0), this.track.duration - length);
    this.view = [first, first + length];
    this.moved(this.view);
    this.draw();
  }

  cursorTime() {
    return this.cursor === null ? null : this.track.times[this.cursor];
  }

  /** Put the cursor on a sample and bring it into view. */
  point(index) {
    this.cursor = index;
    const time = this.cursorTime();
    const length = this.view[1] - this.view[0];
    if (time < this.view[0] || time > this.view[1]) this.look(time - length / 2, length);
    this.draw();
    this.told(index, { x: this.x(time), y: STRIP_HEIGHT });
  }

  leave() {
    this.cursor = null;
    this.draw();
    this.told(null);
  }

  nearestSample(time) {
    const { times } = this.track;
    const after = Math.min(searchSorted(times, time, false), times.length - 1);
    return after > 0 && time - times[after - 1] < times[after] - time ? after - 1 : after;
  }

  /** The pick or rejection within a finger's width of `x`, else the nearest sample. */
  pick(x) {
    const marks = [...this.selection.picks, ...this.selection.rejections];
    let best = null;
    let least = 9;
    for (const { index } of marks) {
      const off = Math.abs(this.x(this.track.times[index]) - x);
      if (off < least) [least, best] = [off, index];
    }
    return best ?? this.nearestSample(this.time(x));
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => this.onWheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.onDown(event));
    canvas.addEventListener("pointermove", (event) => this.onMove(event));
    canvas.addEventListener("pointerup", (event) => this.onUp(event));
    canvas.addEventListener("pointercancel", (event) => this.onUp(event, true));
    canvas.addEventListener("pointerleave", () => this.pointers.size || this.leave());
  }

  onWheel(event) {
    const whole = this.view[1] - this.view[0] >= this.track.duration;
    if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      if (whole) return;
      this.pan(event.deltaX / this.width);
    } else {
      // Zoomed out as far as it goes, the wheel is the page's again.
      if (whole && event.deltaY >= 0) return;
      this.zoom(Math.exp(Math.max(-60, Math.min(60, event.deltaY)) / 200), this.time(event.offsetX));
    }
    event.preventDefault();
  }

  onDown(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, { from: event.offsetX, at: event.offsetX, moved: false });
  }

  onMove(event) {
    const held = this.pointers.get(event.pointerId);
    if (!held) {
      this.cursor = this.pick(event.offsetX);
      this.draw();
      this.told(this.cursor, { x: event.offsetX, y: event.offsetY });
      return;
    }
    const before = held.at;
    const others = [...this.pointers.values()].filter((pointer) => pointer !== held);
    if (others.length) this.pinch(others[0].at, before, event.offsetX);
    else if (event.pointerType === "touch" || event.shiftKey) this.pan((before - event.offsetX) / this.width);
    held.at = event.offsetX;
    held.moved ||= Math.abs(held.at - held.from) > 5;
    held.pans = others.length > 0 || event.pointerType === "touch" || event.shiftKey;
    this.draw();
  }

  pinch(fixed, before, now) {
    const [old, next] = [Math.abs(before - fixed), Math.abs(now - fixed)];
    if (old > 10 && next > 10) this.zoom(old / next, this.time(fixed));
  }

  onUp(event, cancelled = false) {
    const held = this.pointers.get(event.pointerId);
    this.pointers.delete(event.pointerId);
    if (!held || cancelled) return;
    if (!held.moved) {
      this.point(this.pick(event.offsetX));
      this.clicked(this.cursor);
    } else if (!held.pans) {
      const [start, end] = [held.from, held.at].sort((a, b) => a - b).map((x) => this.time(x));
      this.look(start, Math.max(end - start, Math.min(FEWEST_SECONDS, this.track.duration)));
    }
  }

  /** Samples in view, with one more on either side so that lines run on to the edge. */
  visible() {
    const { times } = this.track;
    const first = Math.max(searchSorted(times, this.view[0], false) - 1, 0);
    return [first, Math.min(searchSorted(times, this.view[1], true) + 1, times.length)];
  }

  draw() {
    if (!this.selection || this.width <= 0) return;
    const height = STRIP_HEIGHT + SCORE_HEIGHT + this.layers.length * LAYER_HEIGHT + AXIS_HEIGHT;
    const scale = window.devicePixelRatio || 1;
    this.canvas.style.height = `${height}px`;
    this.canvas.width = Math.round(this.canvas.clientWidth * scale);
    this.canvas.height = Math.round(height * scale);
    const style = getComputedStyle(this.canvas);
    this.color = (name) => style.getPropertyValue(`--${name}`).trim();
    this.context.setTransform(scale, 0, 0, scale, 0, 0);
    this.context.font = `12px ${style.fontFamily}`;
    paintChart(this, height);
  }
}
