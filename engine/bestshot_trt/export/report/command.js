// The command line that gives the page's answer for its settings.

/** The options of `pick` whose values are not the program's defaults. */
function optionsOf(settings, defaults) {
  const words = [];
  const option = (flag, value, standard) => {
    if (value !== standard) words.push(flag, String(value));
  };
  option("-k", settings.top, defaults.top);
  const weights = Object.keys(settings.weights).filter((name) => settings.weights[name] !== defaults.weights[name]);
  if (weights.length) words.push("--weights", weights.map((name) => `${name}=${settings.weights[name]}`).join(","));
  option("--normalize", settings.normalize, defaults.normalize);
  option("--window", settings.window, defaults.window);
  option("--min-gap", settings.min_gap, defaults.min_gap);
  option("--diversity", settings.diversity, defaults.diversity);
  if (settings.clip_length) {
    words.push("--clip-length", settings.clip_length.join(":"));
  } else {
    option("--pre", settings.pre, defaults.pre);
    option("--post", settings.post, defaults.post);
  }
  return words;
}

/** The whole line; with `cut`, one that also writes the selection to a folder of its own and cuts its clips. */
function commandLine({ command, defaults }, settings, cut) {
  // Without a track on disk the reader has to name one.
  const track = command.track ?? "track.parquet";
  const chosen = command.chosen ?? "chosen";
  const words = ["bestshot-trt", "pick", track, ...command.texts, ...optionsOf(settings, defaults)];
  if (!cut) return words.join(" ");
  return `${words.join(" ")} -o ${chosen} && bestshot-trt export ${chosen}/moments.json`;
}

/** Puts text on the clipboard; false where the browser does not let a page do so. */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}
