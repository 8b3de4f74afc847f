// What the chart shows, from back to front.

function paintChart(chart, height) {
  const bottom = height - AXIS_HEIGHT;
  paintAxis(chart, bottom);
  paintSpans(chart, bottom);
  const { score, smoothed } = chart.selection;
  const panel = panelOf(STRIP_HEIGHT, SCORE_HEIGHT, [...extent(score), ...extent(smoothed)]);
  paintLine(chart, panel, score, "raw", 1);
  paintLine(chart, panel, smoothed, "smooth", 2.5);
  chart.layers.forEach((layer, place) => {
    const top = STRIP_HEIGHT + SCORE_HEIGHT + place * LAYER_HEIGHT;
    paintLine(chart, panelOf(top, LAYER_HEIGHT, extent(layer.values)), layer.values, layer.color, 1.25);
    paintText(chart, layer.label, SIDE + 4, top + 14, layer.color);
  });
  paintRejections(chart, panel);
  paintPicks(chart, panel);
  paintCursor(chart, bottom);
}

function panelOf(top, height, values) {
  const [low, high] = extent(values);
  const room = (high - low || 1) * 0.06;
  return (value) => top + height - 4 - ((value - low + room) / (high - low + 2 * room || 1)) * (height - 10);
}

function paintText(chart, text, x, y, color, align = "left") {
  chart.context.fillStyle = chart.color(color);
  chart.context.textAlign = align;
  chart.context.fillText(text, x, y);
}

/** One point a sample, or the lowest and highest of each pixel column where they crowd; holes break the line. */
function paintLine(chart, y, values, color, width) {
  const { context, track } = chart;
  const [first, last] = chart.visible();
  const hole = 2.5 * (track.step || Infinity);
  context.beginPath();
  let column = NaN;
  let [low, high] = [0, 0];
  const flush = (x) => {
    context.lineTo(x, y(low));
    context.lineTo(x, y(high));
  };
  for (let i = first; i < last; i++) {
    const x = Math.round(chart.x(track.times[i]) * 2) / 2;
    const value = values[i];
    const broken = i > first && track.times[i] - track.times[i - 1] > hole;
    if (x === column && !broken) {
      low = Math.min(low, value);
      high = Math.max(high, value);
      continue;
    }
    if (i > first) flush(column);
    if (i === first || broken) context.moveTo(x, y(value));
    [column, low, high] = [x, value, value];
  }
  flush(column);
  context.strokeStyle = chart.color(color);
  context.lineWidth = width;
  context.lineJoin = "round";
  context.stroke();
}

function paintAxis(chart, bottom) {
  const { context, view } = chart;
  const most = Math.max(2, Math.floor(chart.width / 85));
  const step = TICKS.find((tick) => (view[1] - view[0]) / tick <= most) ?? 86400;
  context.lineWidth = 1;
  for (let tick = Math.ceil(view[0] / step); tick * step <= view[1]; tick++) {
    const x = chart.x(tick * step);
    context.strokeStyle = chart.color("grid");
    context.beginPath();
    context.moveTo(x, STRIP_HEIGHT);
    context.lineTo(x, bottom);
    context.stroke();
    const align = x < SIDE + 30 ? "left" : x > SIDE + chart.width - 30 ? "right" : "middle";
    paintText(chart, clock(tick * step, step < 1 ? 1 : 0), x, bottom + 17, "quiet", align === "middle" ? "center" : align);
  }
}

function paintSpans(chart, bottom) {
  const { context } = chart;
  for (const [start, end] of chart.lost ?? []) {
    context.fillStyle = chart.color("lost");
    context.fillRect(chart.x(start), STRIP_HEIGHT, Math.max(chart.x(end) - chart.x(start), 1), bottom - STRIP_HEIGHT);
  }
  context.fillStyle = chart.color("span");
  for (const { start, end } of chart.selection.picks) {
    context.fillRect(chart.x(start), STRIP_HEIGHT, Math.max(chart.x(end) - chart.x(start), 1.5), bottom - STRIP_HEIGHT);
  }
}

function paintRejections(chart, y) {
  const { context, track } = chart;
  const radius = chart.selection.rejections.length > 150 ? 2.5 : 4;
  for (const { index, reason } of chart.selection.rejections) {
    const x = chart.x(track.times[index]);
    if (x < 0 || x > chart.width + 2 * SIDE) continue;
    context.beginPath();
    context.arc(x, y(chart.selection.smoothed[index]), radius, 0, 7);
    context.fillStyle = chart.color("card");
    context.strokeStyle = chart.color(reason === "duplicate" ? "duplicate" : "quiet");
    context.lineWidth = 1.5;
    context.fill();
    context.stroke();
  }
}

/** Picks with their rank and, as far as they do not hide one another, best first, their thumbnails. */
function paintPicks(chart, y) {
  const taken = [];
  for (const pick of chart.selection.picks) {
    const x = chart.x(chart.track.times[pick.index]);
    if (x < 0 || x > chart.width + 2 * SIDE) continue;
    paintPick(chart, pick, x, y(chart.selection.smoothed[pick.index]), taken);
  }
}

function paintPick(chart, { index, rank }, x, y, taken) {
  const { context } = chart;
  context.strokeStyle = chart.color("pick");
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(x, STRIP_HEIGHT - 2);
  context.lineTo(x, y);
  context.stroke();
  context.fillStyle = chart.color("pick");
  context.beginPath();
  context.arc(x, y, 5.5, 0, 7);
  context.fill();
  const thumbnail = chart.thumbnails.near(chart.track.times[index], 0.6);
  const tall = STRIP_HEIGHT - 8;
  const wide = thumbnail ? Math.min((thumbnail.width / thumbnail.height) * tall, 110) : 0;
  const label = Math.max(wide, 24);
  const left = Math.min(Math.max(x - label / 2, SIDE), SIDE + chart.width - label);
  const free = taken.every(([start, end]) => left >= end + 3 || left + label <= start - 3);
  if (!free) return;
  taken.push([left, left + label]);
  if (thumbnail?.image.complete) context.drawImage(thumbnail.image, left, 2, wide, tall);
  const top = thumbnail ? 4 : STRIP_HEIGHT - 24;
  context.fillStyle = chart.color("pick");
  context.fillRect(left + 2, top, 20, 18);
  paintText(chart, String(rank), left + 12, top + 13, "on-pick", "center");
}

function paintCursor(chart, bottom) {
  const { context } = chart;
  context.lineWidth = 1;
  for (const pointer of chart.pointers.values()) {
    if (!pointer.moved || pointer.pans) continue;
    context.fillStyle = chart.color("span");
    context.fillRect(Math.min(pointer.from, pointer.at), STRIP_HEIGHT, Math.abs(pointer.at - pointer.from), bottom - STRIP_HEIGHT);
  }
  if (chart.cursor === null) return;
  const x = chart.x(chart.cursorTime());
  context.strokeStyle = chart.color("ink");
  context.setLineDash([3, 3]);
  context.beginPath();
  context.moveTo(x, STRIP_HEIGHT);
  context.lineTo(x, bottom);
  context.stroke();
  context.setLineDash([]);
}
