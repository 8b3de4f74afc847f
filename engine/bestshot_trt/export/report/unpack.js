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
  const projected = (i, j) => projectedDistance(facts, arrays, count, i, j);
  return (i, j) => {
    if (zero.has(i) || zero.has(j)) return { distance: 1, error: 0 };
    if (places[i] < 0 || places[j] < 0) return projected(i, j);
    const [row, column] = places[i] < places[j] ? [places[i], places[j]] : [places[j], places[i]];
    const kept = arrays.kept.length;
    // The upper triangle row by row; a sample's distance to itself is not in it.
    const at = (row * (2 * kept - row - 1)) / 2 + (column - row - 1);
    const distance = row === column ? 0 : (arrays.distances[at] / 65535) * 2;
    return { distance, error: facts.kept_error };
  };
}

function projectedDistance(facts, { codes, across }, count, i, j) {
  let [product, first, second] = [0, 0, 0];
  for (let k = 0; k < facts.coordinates; k++) {
    const a = facts.offset[k] + codes[k * count + i] * facts.step[k];
    const b = facts.offset[k] + codes[k * count + j] * facts.step[k];
    product += a * b;
    first += a * a;
    second += b * b;
  }
  const q = facts.within;
  const sides = across[i] * facts.across_step * across[j] * facts.across_step;
  const error = q * (Math.sqrt(first) + Math.sqrt(second) + q) + sides + facts.spare;
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
