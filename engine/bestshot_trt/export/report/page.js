// The page: settings on one side, what they pick on the other.

const SLIDERS = [
  ["weights.aesthetic", 0, 3, 0.05],
  ["weights.sharpness", 0, 3, 0.05],
  ["weights.exposure", 0, 3, 0.05],
  ["weights.prompt", 0, 3, 0.05],
  ["window", 0, 15, 0.1],
  ["min_gap", 0, 60, 0.5],
  ["diversity", 0, 1, 0.01],
  ["top", 1, 50, 1],
];
const LABELS = {
  "weights.aesthetic": "Weight of the aesthetic",
  "weights.sharpness": "Weight of the sharpness",
  "weights.exposure": "Weight of the exposure penalty",
  "weights.prompt": "Weight of the prompt",
  window: "Smoothing: seconds either side",
  min_gap: "Least gap between peaks, seconds",
  diversity: "Least difference between picks",
  top: "How many moments",
};
const byId = (id) => document.getElementById(id);
const told = (id) => JSON.parse(byId(id).textContent);

function valueOf(settings, path) {
  return path.startsWith("weights.") ? settings.weights[path.slice(8)] : settings[path];
}

function withValue(settings, path, value) {
  if (!path.startsWith("weights.")) return { ...settings, [path]: value };
  return { ...settings, weights: { ...settings.weights, [path.slice(8)]: value } };
}

class Page {
  constructor(facts, track) {
    Object.assign(this, { facts, track, settings: facts.settings, inputs: [] });
    this.thumbnails = new Thumbnails(told("thumbnails"));
    this.clips = facts.document.picks.filter(({ clip }) => clip);
    this.player = new Player(byId("player"));
    this.chart = new Chart(byId("chart"), track, {
      thumbnails: this.thumbnails,
      told: (index, at) => this.tell(index, at),
      clicked: (index) => this.clicked(index),
      moved: (view) => (byId("view").textContent = `${clock(view[0])} to ${clock(view[1])}`),
    });
    this.chart.lost = facts.lost;
    this.thumbnails.ready.then(() => this.chart.draw());
    this.introduce();
    this.addSliders();
    this.addLayers();
    this.listen();
    this.pick();
    this.chart.fit();
  }

  introduce() {
    const { facts, track } = this;
    const parts = [clock(facts.duration), `${facts.codec}, ${facts.size.join(" x ")}`, `${track.times.length} samples`];
    byId("about").textContent = [...parts, `model: ${facts.model}`].join(" · ");
    const texts = [...facts.prompt.map((text) => `“${text}”`), ...facts.avoid.map((text) => `not “${text}”`)];
    byId("prompts").textContent = texts.length ? `Looked for ${texts.join(", ")}` : "";
    byId("note").textContent = facts.note ?? "";
    byId("program").textContent = `Written by ${facts.program} for ${facts.path}`;
    if (!this.thumbnails.all.length) byId("no-pictures").hidden = false;
    if (!facts.command.track) byId("no-track").hidden = false;
  }

  addSliders() {
    for (const slider of SLIDERS) {
      if (valueOf(this.settings, slider[0]) !== undefined) this.addSlider(...slider);
    }
  }

  addSlider(path, low, high, step) {
    const limits = this.facts.limits[path.replace("weights.", "")];
    const name = path.replace(".", "-");
    const number = element("input", { type: "number", id: name, min: limits.low, max: limits.high, step: "any" });
    const range = element("input", { type: "range", id: `${name}-range`, min: low, max: high, step, "aria-label": LABELS[path] });
    if (path === "top") number.step = "1";
    number.addEventListener("input", () => this.set(path, number.value === "" ? NaN : Number(number.value), number));
    range.addEventListener("input", () => this.set(path, Number(range.value), range));
    const title = `${limits.help} (${limits.bounds})`;
    const label = element("label", { for: name, title }, LABELS[path]);
    const error = element("p", { class: "error", role: "alert", hidden: "" }, `It must be ${limits.bounds}.`);
    byId("sliders").append(element("div", { class: "setting" }, label, number, range, error));
    this.inputs.push({ path, number, range, error, limits });
    this.fill(this.inputs.at(-1));
  }

  /** Show the setting in its fields, but for the one that is being typed in. */
  fill({ path, number, range, error }, source) {
    const value = valueOf(this.settings, path);
    if (source !== number) number.value = String(value);
    if (source !== range) {
      range.min = String(Math.min(Number(range.min), value));
      range.max = String(Math.max(Number(range.max), value));
      range.value = String(value);
    }
    number.removeAttribute("aria-invalid");
    error.hidden = true;
  }

  set(path, value, source) {
    const input = this.inputs.find((one) => one.path === path);
    const { low, high } = input.limits;
    const whole = path !== "top" || Number.isInteger(value);
    if (!(value >= low && value <= high && whole)) {
      input.number.setAttribute("aria-invalid", "true");
      input.error.hidden = false;
      return;
    }
    this.settings = withValue(this.settings, path, value);
    this.fill(input, source);
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.pick());
  }

  reset() {
    this.settings = this.facts.settings;
    this.inputs.forEach((input) => this.fill(input));
    this.pick();
  }

  get isAsWritten() {
    return JSON.stringify(this.settings) === JSON.stringify(this.facts.settings);
  }

  /** Pick for the settings; for those of the document, what it says holds, and a difference is told. */
  pick() {
    const computed = select(this.track, this.settings);
    this.selection = this.isAsWritten ? this.asWritten(computed) : computed;
    this.chart.show(this.selection);
    this.list();
    this.warn(computed);
    byId("command").textContent = commandLine(this.facts, this.settings, false);
  }

  asWritten(computed) {
    const { picks, rejections } = this.facts.document;
    const known = new Map(computed.rejections.map((rejection) => [`${rejection.index} ${rejection.reason}`, rejection]));
    const listed = Object.entries(rejections).flatMap(([reason, indices]) =>
      indices.map((index) => known.get(`${index} ${reason}`) ?? { index, reason }),
    );
    listed.sort((a, b) => computed.smoothed[b.index] - computed.smoothed[a.index]);
    return { ...computed, picks, rejections: listed };
  }

  warn(computed) {
    const key = ({ rank, index, start, end }) => [rank, index, start, end].join();
    const same = computed.picks.map(key).join(" ") === this.selection.picks.map(key).join(" ");
    const { unsure } = computed;
    let text = "";
    if (this.isAsWritten && !same && !unsure.length) {
      text = "moments.json holds other moments than its settings give: it was edited, or is of another version. " +
        "Its own moments are shown; once a setting changes, the page picks anew.";
    } else if (!this.isAsWritten && unsure.length) {
      const times = unsure.slice(0, 5).map((index) => clock(this.track.times[index])).join(", ");
      text = `${unsure.length} ${unsure.length === 1 ? "decision is" : "decisions are"} too close to call here: whether ` +
        `the ${unsure.length === 1 ? "peak" : "peaks"} at ${times}${unsure.length > 5 ? " and others" : ""} ` +
        "look like a pick. What is shown is the likelier answer; the command below settles it.";
    }
    byId("warning").textContent = text;
    byId("warning").hidden = !text;
  }

  list() {
    const { track, thumbnails, settings, selection } = this;
    const context = { track, thumbnails, settings, selection,
      play: (index) => this.play(index), point: (index) => this.point(index), clipOf: (pick) => this.clipOf(pick) };
    const open = new Set([...byId("rejections").querySelectorAll("details[open]")].map((group) => group.dataset.reason));
    byId("picks").replaceChildren(...selection.picks.map((pick) => pickCard(pick, context)));
    byId("rejections").replaceChildren(...rejectionGroups(context, open));
    const count = selection.picks.length;
    byId("summary").textContent =
      `${count} ${count === 1 ? "moment" : "moments"} picked, ${selection.rejections.length} peaks left out` +
      (this.isAsWritten ? ", as in moments.json" : "");
    byId("reset").disabled = this.isAsWritten;
  }

  /** The clip that was cut of just this moment. */
  clipOf({ index, start, end }) {
    return this.clips.find((clip) => clip.index === index && clip.start === start && clip.end === end);
  }

  play(index) {
    const time = this.track.times[index];
    const pick = this.selection.picks.find((one) => one.index === index);
    const own = pick && this.clipOf(pick);
    const around = own ?? this.clips.find(({ start, end }) => start <= time && time < end);
    const title = pick ? `Moment ${pick.rank}, ${clock(time)}` : clock(time);
    const remark = own ? "" : around ? `From ${around.name}, which shows this time.` : "No clip that shows this time was cut. The command below cuts the clips of these settings.";
    this.player.play(title, around, own ? own.start : time, remark);
  }

  clicked(index) {
    const time = this.track.times[index];
    const isPick = this.selection.picks.some((pick) => pick.index === index);
    if (isPick || this.clips.some(({ start, end }) => start <= time && time < end)) this.play(index);
  }

  point(index) {
    this.chart.point(index);
    byId("chart").focus();
  }

  /** Tell of a sample: in a box at the pointer, and in a line that is read out. */
  tell(index, at) {
    const box = byId("tip");
    box.hidden = index === null;
    if (index === null) return;
    const { track, selection } = this;
    const time = track.times[index];
    const lines = [`score ${shortNumber(selection.score[index])}, smoothed ${shortNumber(selection.smoothed[index])}`];
    lines.push(...this.facts.layers.map((name) => `${NAMES[name]} ${shortNumber(this.measure(name)[index])}`));
    const picked = selection.picks.find((pick) => pick.index === index);
    const refused = selection.rejections.find((rejection) => rejection.index === index);
    const mark = picked ? `Pick ${picked.rank}` : refused ? `Left out: ${reasonOf(refused, track, this.settings)}` : "";
    const picture = this.thumbnails.near(time);
    const shown = picture ? [this.thumbnails.figure(time), element("p", { class: "quiet" }, `picture at ${clock(picture.time)}`)] : [];
    box.replaceChildren(...shown, element("strong", {}, clock(time)), ...(mark ? [element("p", {}, mark)] : []), ...lines.map((line) => element("p", {}, line)));
    const room = byId("chart").clientWidth - box.offsetWidth;
    const left = at.x + 16 > room ? at.x - box.offsetWidth - 16 : at.x + 16;
    box.style.left = `${Math.max(0, Math.min(left, room))}px`;
    byId("readout").textContent = [clock(time), mark, ...lines.slice(0, 1)].filter(Boolean).join(" · ");
  }

  measure(name) {
    const range = this.facts.shown_only[name];
    if (!range) return this.track[name];
    this.track[`${name} shown`] ??= Float64Array.from(this.track[name], (code) => range[0] + (code / 255) * (range[1] - range[0]));
    return this.track[`${name} shown`];
  }

  addLayers() {
    const boxes = this.facts.layers.map((name, place) => {
      const box = element("input", { type: "checkbox", value: name });
      box.addEventListener("change", () => this.setLayers(boxes));
      byId("layers").append(element("label", { style: `--swatch: var(--layer-${place})` }, box, NAMES[name]));
      return box;
    });
  }

  setLayers(boxes) {
    const shown = boxes.flatMap((box, place) => {
      const name = box.value;
      if (!box.checked) return [];
      if (name === "sharpness") return [{ label: "sharpness (log)", values: this.track.logSharpness, color: `layer-${place}` }];
      return [{ label: NAMES[name], values: this.measure(name), color: `layer-${place}` }];
    });
    this.chart.setLayers(shown);
  }

  listen() {
    const click = (id, act) => byId(id).addEventListener("click", act);
    click("zoom-in", () => this.chart.zoom(0.5));
    click("zoom-out", () => this.chart.zoom(2));
    click("zoom-fit", () => this.chart.fit());
    click("pan-left", () => this.chart.pan(-0.3));
    click("pan-right", () => this.chart.pan(0.3));
    click("reset", () => this.reset());
    click("copy", () => this.copy(false));
    click("copy-cut", () => this.copy(true));
    byId("chart").addEventListener("keydown", (event) => this.onKey(event));
    byId("chart").addEventListener("blur", () => this.chart.leave());
  }

  async copy(cut) {
    const line = commandLine(this.facts, this.settings, cut);
    byId("command").textContent = line;
    byId("copied").textContent = (await copyText(line)) ? "Copied." : "This browser lets no page copy; mark the line and copy it.";
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { chart, track } = this;
    const last = track.times.length - 1;
    const at = chart.cursor ?? chart.nearestSample((chart.view[0] + chart.view[1]) / 2);
    const to = (index) => chart.point(Math.min(Math.max(index, 0), last));
    const actions = {
      ArrowLeft: () => to(at - (event.shiftKey ? 10 : 1)),
      ArrowRight: () => to(at + (event.shiftKey ? 10 : 1)),
      Home: () => to(0),
      End: () => to(last),
      ArrowUp: () => chart.zoom(0.5),
      ArrowDown: () => chart.zoom(2),
      "+": () => chart.zoom(0.5),
      "-": () => chart.zoom(2),
      0: () => chart.fit(),
      n: () => this.toPick(at, 1),
      p: () => this.toPick(at, -1),
      Enter: () => this.play(at),
      Escape: () => chart.leave(),
    };
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  toPick(from, direction) {
    const indices = this.selection.picks.map(({ index }) => index).sort((a, b) => direction * (a - b));
    const next = indices.find((index) => direction * (index - from) > 0);
    if (next !== undefined) this.chart.point(next);
  }
}

async function main() {
  let page = null;
  listenToTheme(() => page?.chart.draw());
  try {
    const facts = told("facts");
    const track = await unpack(facts, byId("track").textContent);
    track.step = 1 / (facts.fps || 1);
    page = new Page(facts, track);
    document.documentElement.dataset.ready = "true";
  } catch (error) {
    byId("warning").textContent = `This page needs a newer browser (of 2023 or later): ${error.message}`;
    byId("warning").hidden = false;
    throw error;
  }
}

main();
