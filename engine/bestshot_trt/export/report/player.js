// Plays a clip that lies beside the page, or says why it does not.

class Player {
  constructor(dialog) {
    this.dialog = dialog;
    this.video = dialog.querySelector("video");
    this.message = dialog.querySelector(".message");
    this.title = dialog.querySelector("h2");
    this.video.addEventListener("error", () => this.failed());
    this.video.addEventListener("loadedmetadata", () => this.loaded());
    dialog.addEventListener("close", () => this.stop());
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }

  /** Play `clip` ({clip, name, begins}) from `time` of the take on; without one, say `why`. */
  play(title, clip, time, why) {
    this.title.textContent = title;
    this.message.textContent = why ?? "";
    this.clip = clip;
    this.from = clip ? Math.max(0, time - clip.begins) : 0;
    this.video.hidden = !clip;
    if (clip) this.video.src = clip.clip;
    if (!this.dialog.open) this.dialog.showModal();
  }

  loaded() {
    // A clip that is shorter than it should be must not be skipped past its end.
    if (this.from && this.from < this.video.duration) this.video.currentTime = this.from;
    this.video.play().catch(() => {});
  }

  failed() {
    if (!this.clip || !this.video.getAttribute("src")) return;
    this.video.hidden = true;
    this.message.textContent =
      `${this.clip.name} cannot be played here: either the file is no longer beside this page, or this browser ` +
      "does not know its codec. Look for it in the folder of this page, and open it in a player.";
  }

  stop() {
    this.video.pause();
    this.clip = null;
    this.video.removeAttribute("src");
    this.video.load();
  }
}
