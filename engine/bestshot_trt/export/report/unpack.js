// The track as the page carries it: arrays in one deflated stream, read back bit for bit.

const ARRAYS = { u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, f4: Float32Array, f8: Float64Array };

async function inflate(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** All arrays by name; in the stream, all first bytes of an array come before all its second bytes and so on. */
function arraysOf(layout, bytes) {
  const arrays = {};
  let at = 0;
  for (const { name, type, count } of layout) {
    const width = Number(type.slice(1));
    const view = new DataView(new ArrayBuffer(count * width));
    for (let byte = 0; byte < width; byte++) {
      for (let i = 0; i < count; i++) view.setUint8(i * width + byte, bytes[at++]);
    }
    arrays[name] = littleEndian(view, type, count);
  }
  return arrays;
}

function littleEndian(view, type, count) {
  const array = new ARRAYS[type](count);
  const read = { u1: "getUint8", u2: "getUint16", u4: "getUint32", f4: "getFloat32", f8: "getFloat64" }[type];
  const width = Number(type.slice(1));
  for (let i = 0; i < count; i++) array[i] = view[read](i * width, true);
  return array;
}

/** log(1 + x) to the last bit as the program had it: browsers differ in the last bits, whose lowest byte is kept. */
function exactLog1p(values, lowest) {
  const logs = new Float64Array(values.length);
  const bits = new BigInt64Array(logs.buffer);
  for (let i = 0; i < values.length; i++) {
    logs[i] = Math.log1p(values[i]);
    const off = (lowest[i] - Number(bits[i] & 255n)) & 255;
    bits[i] += BigInt(off < 128 ? off : off - 256);
  }
  return logs;
}

function timesOf(facts, arrays) {
  if (arrays.times) return arrays.times;
  let tick = 0;
  return Float64Array.from(arrays.ticks, (step) => (tick += step) / facts.fps);
}

/** Tells the cosine distance of two samples and how far it may be off. */
function nearness(facts, arrays, count) {
  const places = new Int32Array(count).fill(-1);
  arrays.kept.forEach((sample, place) => (places[sample] = place));
  const zero = new Set(facts.zero);
  const planes = facts.planes.map((plane) => planeOf(plane, arrays, count));
  return (i, j) => {
    if (zero.has(i) || zero.has(j)) return { distance: 1, error: 0 };
    if (places[i] < 0 || places[j] < 0) {
      const plane = planes.find(({ rows }) => rows[i] >= 0 && rows[j] >= 0);
      return projectedDistance(plane, facts.spare, i, j);
    }
    const [row, column] = places[i] < places[j] ? [places[i], places[j]] : [places[j], places[i]];
    const kept = arrays.kept.length;
    // The upper triangle row by row; a sample's distance to itself is not in it.
    const at = (row * (2 * kept - row - 1)) / 2 + (column - row - 1);
    const distance = row === column ? 0 : (arrays.distances[at] / 65535) * 2;
    return { distance, error: facts.kept_error };
  };
}

/** A projection of some samples: where each has its row, and its arrays. */
function planeOf(plane, arrays, count) {
  const members = arrays[`${plane.name} members`];
  const rows = new Int32Array(count).fill(-1);
  members.forEach((sample, row) => (rows[sample] = row));
  return { ...plane, rows, count: members.length, codes: arrays[`${plane.name} codes`], across: arrays[`${plane.name} across`] };
}

function projectedDistance({ rows, count, codes, across, low, step, q, s_step }, spare, i, j) {
  let [product, first, second] = [0, 0, 0];
  low.forEach((least, k) => {
    const a = least + codes[k * count + rows[i]] * step;
    const b = least + codes[k * count + rows[j]] * step;
    product += a * b;
    first += a * a;
    second += b * b;
  });
  const sides = across[rows[i]] * s_step * across[rows[j]] * s_step;
  const error = q * (Math.sqrt(first) + Math.sqrt(second) + q) + sides + spare;
  return { distance: Math.min(Math.max(1 - product, 0), 2), error };
}

/** The track of the page: times, measures, distances, and the terms of the score by mode. */
async function unpack(facts, base64) {
  const arrays = arraysOf(facts.layout, await inflate(base64));
  const times = timesOf(facts, arrays);
  const track = {
    ...arrays,
    times,
    duration: facts.duration,
    logSharpness: exactLog1p(arrays.sharpness, arrays.log_sharpness_lowest),
    near: nearness(facts.distances, arrays, times.length),
  };
  const cache = {};
  track.terms = (mode) => (cache[mode] ??= scoreTerms(track, mode));
  return track;
}
