// From measures to moments, as scoring.py and timeline.py have it: the same operations in the same order on
// the same float64 numbers, so that the answer is the same to the last bit. Names follow those two files.

const TIME_TOLERANCE = 1e-6;
const GROW_LEVEL = 0.8;

/** numpy.percentile of sorted values, interpolated linearly the way NumPy rounds it. */
function percentile(sorted, percent) {
  const place = (sorted.length - 1) * (percent / 100);
  const before = Math.floor(place);
  const after = Math.min(before + 1, sorted.length - 1);
  const share = place - before;
  const step = sorted[after] - sorted[before];
  return share >= 0.5 ? sorted[after] - step * (1 - share) : sorted[before] + step * share;
}

/** The series in [0, 1] by its own 5th and 95th percentiles, or as it is with mode "none". */
function normalize(values, mode) {
  if (mode === "none" || values.length === 0) return Float64Array.from(values);
  const sorted = Float64Array.from(values).sort();
  if (sorted[0] === sorted[sorted.length - 1]) return new Float64Array(values.length).fill(0.5);
  const low = percentile(sorted, 5);
  const high = percentile(sorted, 95);
  if (low === high) return Float64Array.from(values, (value) => (Math.sign(value - low) + 1) / 2);
  return Float64Array.from(values, (value) => Math.min(Math.max((value - low) / (high - low), 0), 1));
}

/** The measures of a track as the score adds them up, for one mode. */
function scoreTerms(track, mode) {
  return {
    aesthetic: normalize(track.aesthetic, mode),
    sharpness: normalize(track.logSharpness, mode),
    exposure: track.exposure_penalty,
    prompt: track.prompt_similarity && normalize(track.prompt_similarity, mode),
  };
}

/** S = w_a A + w_s Sh - w_e E + w_c C. */
function scoreOf(terms, weights) {
  const score = new Float64Array(terms.aesthetic.length);
  for (let i = 0; i < score.length; i++) {
    score[i] =
      weights.aesthetic * terms.aesthetic[i] + weights.sharpness * terms.sharpness[i] - weights.exposure * terms.exposure[i];
    if (terms.prompt) score[i] += weights.prompt * terms.prompt[i];
  }
  return score;
}

/** How many of the ascending values come before one: those below it, or with `right` those up to it. */
function searchSorted(values, value, right) {
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < value || (right && values[middle] === value)) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The samples [first, last) within the window of each sample. */
function windowsOf(times, window) {
  const reach = window + TIME_TOLERANCE;
  const first = new Int32Array(times.length);
  const last = new Int32Array(times.length);
  for (let i = 0; i < times.length; i++) {
    first[i] = searchSorted(times, times[i] - reach, false);
    last[i] = searchSorted(times, times[i] + reach, true);
  }
  return { first, last };
}

/** To the nearest whole number, halves to the even one, as numpy.rint. */
function rint(value) {
  const rounded = Math.round(value);
  return rounded - value === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

function extent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** Mean over the window by time, from sums in fixed point, which are exact. */
function smooth(values, windows) {
  const [low, high] = extent(values);
  if (!values.length || low === high) return Float64Array.from(values);
  const levels = 2 ** (53 - (32 - Math.clz32(values.length)));
  const sums = new Float64Array(values.length + 1);
  for (let i = 0; i < values.length; i++) {
    sums[i + 1] = sums[i] + rint(((values[i] - low) / (high - low)) * levels);
  }
  return Float64Array.from(values, (_, i) => {
    const mean = (sums[windows.last[i]] - sums[windows.first[i]]) / (windows.last[i] - windows.first[i]);
    return Math.min(Math.max(low + (mean / levels) * (high - low), low), high);
  });
}

/** Local maxima, increasing; a plateau by its middle, both ends of the take included. */
function findPeaks(smoothed) {
  const peaks = [];
  let start = 0;
  while (start < smoothed.length) {
    let end = start;
    while (end + 1 < smoothed.length && smoothed[end + 1] === smoothed[start]) end++;
    const rises = start === 0 || smoothed[start] > smoothed[start - 1];
    const falls = end === smoothed.length - 1 || smoothed[end + 1] < smoothed[end];
    if (rises && falls) peaks.push(Math.floor((start + end) / 2));
    start = end + 1;
  }
  return peaks;
}

/** The peak, moved to the best raw score among neighbours whose windows hold the same samples. */
function bestOfEqualWindows(peak, score, { first, last }) {
  const same = (i) => first[i] === first[peak] && last[i] === last[peak];
  let left = peak;
  let right = peak + 1;
  while (left > 0 && same(left - 1)) left--;
  while (right < score.length && same(right)) right++;
  if (right - left <= 1) return peak;
  const high = score.subarray(left, right).reduce((a, b) => Math.max(a, b));
  const best = [];
  for (let i = left; i < right; i++) if (score[i] === high) best.push(i);
  return best[(best.length - 1) >> 1];
}

/** Greedily keep the peaks that are min_gap from every kept one. */
function keepApart(times, order, minGap, refused) {
  const kept = [];
  const keptTimes = [];
  for (const index of order) {
    const time = times[index];
    const place = searchSorted(keptTimes, time, true);
    let near = Infinity;
    for (const other of keptTimes.slice(Math.max(0, place - 1), place + 1)) {
      if (Math.abs(other - time) < Math.abs(near - time)) near = other;
    }
    if (Math.abs(near - time) >= minGap - TIME_TOLERANCE) {
      keptTimes.splice(place, 0, time);
      kept.push(index);
    } else {
      refused.set(index, { reason: "min_gap", against: near });
    }
  }
  return kept;
}

/** The nearest of the picks where it is too near, with whether the distances kept here can tell. */
function duplicateOf(index, picks, tau, near) {
  if (tau <= 0 || !picks.length) return { refusal: null, sure: true };
  let nearest = Infinity;
  let rank = 0;
  let surelyNear = false;
  let surelyApart = true;
  picks.forEach((pick) => {
    const { distance, error } = near(index, pick.index);
    if (distance < nearest) [nearest, rank] = [distance, pick.rank];
    if (distance + error <= tau) surelyNear = true;
    if (distance - error <= tau) surelyApart = false;
  });
  const refusal = surelyNear || nearest <= tau ? { reason: "duplicate", distance: Math.max(0, nearest), rank } : null;
  return { refusal, sure: surelyNear || surelyApart };
}

/** The stretch around `time` that no span takes, or null inside one. */
function freeGap(spans, time, duration) {
  let place = 0;
  while (place < spans.length && spans[place][0] <= time) place++;
  const before = place ? spans[place - 1][1] : 0;
  const after = place < spans.length ? spans[place][0] : duration;
  return place === 0 || before <= time ? [before, after] : null;
}

/** The stretch around the peak where the smoothed score stays above the growing level. */
function grow(take, peak, gap, longest) {
  const { times, smoothed, step } = take;
  const level = take.median + GROW_LEVEL * (smoothed[peak] - take.median);
  const joins = (index, neighbour) =>
    index >= 0 &&
    index < times.length &&
    smoothed[index] > level &&
    gap[0] <= times[index] &&
    times[index] < gap[1] &&
    Math.abs(times[index] - times[neighbour]) < 1.5 * step;
  let left = peak;
  let right = peak;
  for (;;) {
    const before = joins(left - 1, left);
    const after = joins(right + 1, right);
    if (!before && !after) break;
    const later = after && (!before || smoothed[right + 1] >= smoothed[left - 1]);
    const [from, to] = later ? [left, right + 1] : [left - 1, right];
    if (times[to] + step - times[from] > longest + TIME_TOLERANCE) break;
    [left, right] = [from, to];
  }
  return [times[left], Math.min(times[right] + step, gap[1])];
}

/** The clip around the peak before it is moved. */
function wanted(take, peak, gap, settings) {
  const time = take.times[peak];
  if (!settings.clip_length) {
    const length = Math.min(settings.pre + settings.post, take.duration);
    return [time - settings.pre, time - settings.pre + length];
  }
  const [shortest, longest] = settings.clip_length;
  let [start, end] = grow(take, peak, gap, longest);
  const length = Math.min(Math.max(shortest, Math.min(longest, end - start)), take.duration);
  start -= Math.max(0, length - (end - start)) / 2;
  return [start, start + length];
}

/** The clip around the peak, moved into the free gap it lies in, or null without room. */
function place(take, peak, spans, settings) {
  const gap = freeGap(spans, take.times[peak], take.duration);
  if (!gap) return null;
  const [start, end] = wanted(take, peak, gap, settings);
  const length = end - start;
  if (length > gap[1] - gap[0] + TIME_TOLERANCE) return null;
  if (start < gap[0]) return [gap[0], Math.min(gap[0] + length, gap[1])];
  if (end > gap[1]) return [Math.max(gap[1] - length, gap[0]), gap[1]];
  return [start, end];
}

function median(values) {
  const sorted = Float64Array.from(values).sort();
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Greedily pick what is no near duplicate and has room, up to `top`. */
function choose(take, order, settings, near, refused) {
  const picks = [];
  const spans = [];
  const unsure = [];
  for (const index of order) {
    if (picks.length === settings.top) {
      refused.set(index, { reason: "top_k" });
      continue;
    }
    const { refusal, sure } = duplicateOf(index, picks, settings.diversity, near);
    if (!sure) unsure.push(index);
    const span = refusal ? null : place(take, index, spans, settings);
    if (!span) {
      refused.set(index, refusal || { reason: "overlap" });
      continue;
    }
    spans.push(span);
    spans.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    picks.push({ rank: picks.length + 1, index, start: span[0], end: span[1] });
  }
  return { picks, unsure };
}

/**
 * Picks and rejections of a track for some settings, with the scores that led to them.
 * `unsure` are the peaks for which the distances kept in the page leave open whether they are near duplicates.
 */
function select(track, settings) {
  const { times, near } = track;
  const score = scoreOf(track.terms(settings.normalize), settings.weights);
  const windows = windowsOf(times, settings.window);
  const smoothed = smooth(score, windows);
  const peaks = findPeaks(smoothed).map((peak) => bestOfEqualWindows(peak, score, windows));
  const order = peaks.sort((a, b) => smoothed[b] - smoothed[a]);
  let step = times.length > 1 ? Infinity : 0;
  for (let i = 1; i < times.length; i++) step = Math.min(step, times[i] - times[i - 1]);
  const take = { times, smoothed, duration: track.duration, median: median(smoothed), step };
  const refused = new Map();
  const apart = keepApart(times, order, settings.min_gap, refused);
  const { picks, unsure } = choose(take, apart, settings, near, refused);
  const rejections = order.filter((i) => refused.has(i)).map((index) => ({ index, ...refused.get(index) }));
  return { score, smoothed, picks, rejections, unsure };
}
