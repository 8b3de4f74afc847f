// Picks and rejections in words and pictures. Text from the take goes in as text, never as markup.

const NAMES = {
  aesthetic: "aesthetic",
  sharpness: "sharpness",
  exposure: "exposure",
  exposure_penalty: "exposure penalty",
  prompt: "prompt",
  prompt_similarity: "prompt similarity",
  contrast: "contrast",
  colourfulness: "colourfulness",
};
const REASONS = {
  duplicate: "near duplicates of a pick",
  overlap: "without room for a clip of their own",
  min_gap: "too near in time to a better peak",
  top_k: "not among the best",
};
const MOST_LISTED = 60;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children);
  return made;
}

/** The pictures that came with the page, by time. */
class Thumbnails {
  constructor(pictures) {
    this.all = pictures.sort((a, b) => a.time - b.time);
    this.times = this.all.map(({ time }) => time);
    for (const picture of this.all) {
      picture.image = new Image();
      picture.image.src = picture.src;
    }
  }

  get ready() {
    return Promise.all(this.all.map(({ image }) => image.decode().catch(() => {})));
  }

  /** The picture nearest to `time`, no further than `within` seconds, or null. */
  near(time, within = Infinity) {
    const after = searchSorted(this.times, time, false);
    const beside = [this.all[after - 1], this.all[after]].filter(Boolean);
    beside.sort((a, b) => Math.abs(a.time - time) - Math.abs(b.time - time));
    return beside.length && Math.abs(beside[0].time - time) <= within ? beside[0] : null;
  }

  figure(time, within) {
    const picture = this.near(time, within);
    if (!picture) return element("span", { class: "blank", "aria-hidden": "true" });
    return element("img", { src: picture.src, width: picture.width, height: picture.height, alt: "" });
  }
}

/** Why a peak was left out, in words. */
function reasonOf(rejection, track, settings) {
  const { index, reason, against, distance, rank } = rejection;
  if (reason === "min_gap" && against !== undefined) {
    const gap = Math.abs(track.times[index] - against);
    return `${gap.toFixed(1)} s from the better peak at ${clock(against)}; the least gap is ${settings.min_gap} s`;
  }
  if (reason === "duplicate" && rank) {
    return `looks like pick ${rank}: cosine distance ${distance.toFixed(3)}, not above ${settings.diversity}`;
  }
  return { duplicate: "looks like a pick", overlap: "no room for its clip beside those of better moments",
    min_gap: "a better peak is too near", top_k: `${settings.top} better moments are kept` }[reason] ?? reason;
}

/** The measures of a sample as bars: where each stands in the take, 0 to 1. */
function bars(track, settings, index) {
  const terms = track.terms("track");
  const list = element("dl", { class: "bars" });
  for (const name of Object.keys(settings.weights)) {
    if (!terms[name]) continue;
    const measure = { exposure: "exposure_penalty", prompt: "prompt_similarity" }[name] ?? name;
    const meter = element("span", { class: name === "exposure" ? "bar penalty" : "bar" });
    meter.style.setProperty("--share", String(Math.min(Math.max(terms[name][index], 0), 1)));
    list.append(
      element("dt", {}, NAMES[measure]),
      element("dd", {}, meter, element("span", {}, shortNumber(track[measure][index]))),
    );
  }
  return list;
}

function pickCard(pick, { track, thumbnails, settings, selection, play, clipOf }) {
  const time = track.times[pick.index];
  const length = pick.end - pick.start;
  const clip = clipOf(pick);
  const button = element(
    "button",
    { type: "button", class: "play", "aria-label": `Play moment ${pick.rank} at ${clock(time)}` },
    thumbnails.figure(time, 0.6),
    element("span", { class: "rank" }, String(pick.rank)),
  );
  button.addEventListener("click", () => play(pick.index));
  return element(
    "li",
    { class: "pick", "data-rank": pick.rank, "data-index": pick.index, "data-start": pick.start, "data-end": pick.end },
    button,
    element("p", { class: "when" }, element("strong", {}, clock(time)), ` score ${shortNumber(selection.smoothed[pick.index])}`),
    element("p", { class: "quiet" }, `clip ${clock(pick.start)} to ${clock(pick.end)} (${length.toFixed(1)} s)`),
    bars(track, settings, pick.index),
    element("p", { class: "quiet" }, clip ? clip.name : "no clip of just this moment was cut"),
  );
}

function rejectionRow(rejection, { track, thumbnails, settings, selection, point }) {
  const { index } = rejection;
  const button = element("button", { type: "button" });
  if (rejection.reason === "duplicate") button.append(thumbnails.figure(track.times[index], 1.5));
  button.append(
    element("strong", {}, clock(track.times[index])),
    ` ${shortNumber(selection.smoothed[index])} `,
    element("span", { class: "quiet" }, reasonOf(rejection, track, settings)),
  );
  button.addEventListener("click", () => point(index));
  return element("li", { "data-index": index, "data-reason": rejection.reason }, button);
}

function rejectionGroups(context, open) {
  return Object.entries(REASONS).flatMap(([reason, words]) => {
    const found = context.selection.rejections.filter((rejection) => rejection.reason === reason);
    if (!found.length) return [];
    const list = element("ul", {}, ...found.slice(0, MOST_LISTED).map((rejection) => rejectionRow(rejection, context)));
    const more = found.length > MOST_LISTED ? [element("p", { class: "quiet" }, `and ${found.length - MOST_LISTED} more`)] : [];
    const group = element("details", { "data-reason": reason }, element("summary", {}, `${found.length} ${words}`), list, ...more);
    group.open = open.has(reason);
    return [group];
  });
}
