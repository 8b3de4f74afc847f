from __future__ import annotations

import contextlib
import json
import os
import pty
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bestshot_trt import files
from bestshot_trt.cli import exits, progress

RUN = [sys.executable, "-m", "bestshot_trt"]
QUICK = ["--score-height", "64", "-k", "1", "--pre", "0.3", "--post", "0.3", "--effort", "fastest"]
LIMIT_S = 300
"""For what takes a second: a machine that is busy with other things is no fault."""
HEAVY = ("numpy", "av", "cv2", "pyarrow", "PIL", "imageio_ffmpeg")


@pytest.fixture
def cli(cli, monkeypatch, tmp_path):
    """Runs commands in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return cli


@pytest.fixture(scope="module")
def source(clip):
    return clip("-c:v libx264 -preset ultrafast -g 10", size="96x64", rate="10", seconds=4)


@pytest.fixture
def take(source, tmp_path):
    return shutil.copy(source, tmp_path / "take.mp4")


@pytest.fixture(scope="module")
def long_take(clip):
    """Takes seconds to analyse and seconds to encode."""
    return clip("-c:v libx264 -preset ultrafast -g 30", size="640x360", rate="30", seconds=12)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_fewer_moments_than_asked_for_are_told_with_the_reason(cli, take):
    assert cli("analyze", str(take), "--score-height", "64", "--model", "none", "-o", "t.parquet").code == 0
    one, many = (cli("pick", "t.parquet", "-k", count, "--min-gap", "30") for count in ("1", "9"))
    assert "asked for" not in one.err
    assert "take.mp4: 1 of 9 moments asked for: its score has " in many.err
    assert "asked for" not in cli("pick", "t.parquet", "-k", "9", "-q").err


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from bestshot_trt.cli import main\n"
        "sys.argv = ['bestshot-trt', 'run', '--help']\n"
        "try: main()\n"
        f"finally: print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "[]\n")


@pytest.mark.parametrize("command", ["run", "analyze", "pick", "export", "demo", "doctor"])
def test_every_command_has_help(cli, command):
    done = cli(command, "--help")
    assert done.code == 0
    assert f"Usage: bestshot-trt {command}" in done.out


def test_help_shows_defaults_bounds_symbols_and_sections(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = " ".join(cli("run", "--help").out.split())
    for shown in ("(above 0, at most 60 Hz) [default: 3]", "[tau]", "[default: 0.12]", "[analyze], [pick], [export]"):
        assert shown in text


@pytest.mark.parametrize("command", [[], ["--help"]])
def test_the_exit_codes_are_documented(cli, command):
    text = " ".join(cli(*command).out.split())
    for code in {*exits.EXIT_CODES.values(), exits.INTERNAL_ERROR, 130, 143}:
        assert f" {code} " in text


def test_the_version_is_printed(cli):
    done = cli("--version")
    assert done.code == 0
    assert done.out.startswith("bestshot-trt ")


BAD_OPTIONS = {
    "--fps 0": "fps is 0.0; it must be above 0, at most 60 Hz",
    "--fps nan": "fps is nan; it must be above 0, at most 60 Hz",
    "--fps x": "Invalid value for '--fps': 'x' is not a valid float; see bestshot-trt run --help",
    "--score-height 8": "score_height is 8; it must be at least 16, at most 4320 pixels",
    "--backend tpu": "backend is 'tpu'; it must be one of auto, cpu, gpu",
    "--weights foo=1": "weight 'foo' is not known; it must be one of aesthetic, exposure, prompt, sharpness",
    "--weights sharpness=": "weight 'sharpness=' is not NAME=NUMBER, as in sharpness=0.5",
    "--weights sharpness=1e9": "weight sharpness is 1000000000.0; it must be at least -100, at most 100",
    "--normalize x": "normalize is 'x'; it must be one of track, none",
    "--window -1": "window is -1.0; it must be at least 0, at most 3600 s",
    "--min-gap inf": "min_gap is inf; it must be at least 0, at most 86400 s",
    "-k 0": "top is 0; it must be at least 1, at most 1000",
    "--top 1.5": "'1.5' is not a valid int",
    "--pre 0 --post 0": "pre and post are 0 s and 0 s; a clip needs 0.001 s or more",
    "--pre 1 --clip-length 3:7": "clip_length and pre or post are two ways",
    "--clip-length 7:3": "clip_length is (7.0, 3.0); it must be MIN:MAX in seconds, 0.001 <= MIN <= MAX <= 7200",
    "--clip-length 3": "clip_length is '3'; it must be MIN:MAX in seconds, as 3:7",
    "--diversity 3": "diversity is 3.0; it must be at least 0, at most 2",
    "--quality 101": "quality is 101; it must be at least 0, at most 100",
    "--effort x": "effort is 'x'; it must be one of fastest,",
    "--preset x": "preset 'x' is not known; it must be one of action, drone, interior, talking-head",
    "--config gone.toml": "gone.toml: no such file; check the path",
    "--nonsense": "No such option: --nonsense",
    "second.mp4": "unexpected extra argument",
    "--fps": "Option '--fps' requires an argument",
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_a_bad_option_is_one_clear_line_and_exit_code_2(cli, take, options):
    done = cli("run", take, *options.split())
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("error: ")
    assert BAD_OPTIONS[options] in done.err
    assert len(done.err.splitlines()) == 1


def test_no_or_an_unknown_command_is_exit_code_2(cli):
    assert cli().code == 2
    assert "Usage: bestshot-trt" in cli().out
    done = cli("frobnicate")
    assert (done.code, done.err) == (2, "error: No such command 'frobnicate'; see bestshot-trt --help\n")


@pytest.mark.parametrize(("options", "code"), [("--backend gpu", 5), ("--model nonesuch", 6)], ids=["backend", "model"])
def test_what_is_not_to_be_had_here_has_its_own_exit_code(cli, take, tmp_path, options, code):
    done = cli("run", take, *options.split())
    assert (done.code, len(done.err.splitlines())) == (code, 1)
    assert names(tmp_path) == ["take.mp4"]


def ffmpeg_input(arguments, suffix):
    def make(folder, clips):
        clips.run_ffmpeg("-f", "lavfi", "-i", *arguments.split(), folder / f"bad{suffix}")
        return folder / f"bad{suffix}"

    return make


def text_input(name, text):
    def make(folder, clips):
        shutil.copy(next(iter(folder.glob("take.mp4"))), folder / "other.mp4")
        (folder / name).write_text(text)
        return folder / name

    return make


PICTURE = "testsrc2=size=64x64:duration=1 -frames:v 1 -update 1"
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\nother.mp4\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile other.mp4\n"
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
BAD_INPUTS = {
    "empty": (text_input("empty.mp4", ""), "is empty (0 bytes)"),
    "text": (text_input("notes.mp4", "hello\n"), "not a video that can be read"),
    "playlist": (text_input("list.m3u8", PLAYLIST), "not a video that can be read"),
    "playlist named as a video": (text_input("list.mp4", PLAYLIST), "not a video that can be read"),
    "concat list": (text_input("list.ffconcat", CONCAT), "not a video that can be read"),
    "concat list named as a video": (text_input("list.mp4", CONCAT), "not a video that can be read"),
    "stream description": (text_input("list.sdp", SDP), "not a video that can be read"),
    "PNG": (ffmpeg_input(PICTURE, ".png"), "not a video that can be read"),
    "JPEG": (ffmpeg_input(PICTURE, ".jpg"), "not a video that can be read"),
    "sound in MP4": (ffmpeg_input("sine=duration=1", ".m4a"), "holds no video (only audio)"),
    "sound in WAV": (ffmpeg_input("sine=duration=1", ".wav"), "not a video that can be read"),
    "missing": (lambda folder, clips: folder / "gone.mp4", "no such file; check the path"),
    "folder": (lambda folder, clips: folder, "is a folder; name one file in it"),
    "device": (lambda folder, clips: Path("/dev/zero"), "is a pipe or device"),
    "pipe": (lambda folder, clips: (os.mkfifo(folder / "pipe"), folder / "pipe")[1], "is a pipe or device"),
    "loop of links": (lambda folder, clips: ((folder / "a").symlink_to("a"), folder / "a")[1], "cannot be opened"),
    "overlong name": (lambda folder, clips: folder / ("x" * 300), "File name too long"),
    "address": (lambda folder, clips: "http://127.0.0.1:9/x.mp4", "no such file"),
    "protocol": (lambda folder, clips: "concat:take.mp4|take.mp4", "no such file"),
    "newline": (lambda folder, clips: folder / "a\nb\x1b[31m", "a\\nb\\x1b[31m: no such file"),
}


@pytest.mark.parametrize("name", BAD_INPUTS)
@pytest.mark.parametrize("command", ["run", "analyze"])
def test_a_bad_input_is_one_clear_line_and_exit_code_3(cli, clips, take, tmp_path, name, command):
    make, message = BAD_INPUTS[name]
    path = make(tmp_path, clips)
    before = names(tmp_path)
    done = cli(command, path)
    assert (done.code, done.out) == (3, "")
    assert done.err.startswith("error: ")
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert names(tmp_path) == before


NAMES = ["a b.mp4", 'it\'s "q" $x; *.mp4', "new\nline.mp4", "-dash.mp4", "ünï東😀.mp4", os.fsdecode(b"caf\xe9.mp4")]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_file_name_works(cli, take, tmp_path, name):
    with contextlib.suppress(OSError):
        take.rename(tmp_path / name)
    if not (tmp_path / name).exists():
        pytest.skip("the file system does not take this name")
    done = cli("run", *QUICK, "--json", "-q", "--", name)
    assert (done.code, done.err) == (0, "")
    document = json.loads(done.out)
    assert document["source"]["path"] == str(tmp_path / name)
    assert json.loads((tmp_path / "bestshot" / Path(name).stem / "moments.json").read_bytes()) == document
    done = cli("export", tmp_path / "bestshot" / Path(name).stem / "moments.json", "-o", "again")
    assert (done.code, len(done.out.splitlines())) == (0, 2)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_output_survives_a_terminal_that_knows_few_letters(take, tmp_path, encoding):
    take.rename(tmp_path / "ünï東.mp4")
    call = [*RUN, "run", "ünï東.mp4", *QUICK, "-o", "東", "--json"]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(call, cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert done.returncode == 0
    assert json.loads(done.stdout)["source"]["path"].endswith("ünï東.mp4")


def test_stdout_is_a_short_table_and_stderr_says_where_results_are(cli, take):
    done = cli("run", take, *QUICK, "--model", "none")
    head, row = done.out.splitlines()
    assert head.split() == ["rank", "peak", "from", "to", "score", "sharp", "exposure", "aesthetic", "clip"]
    assert row.split()[0] == "1"
    assert row.split()[-1].startswith("clips/01_")
    assert done.err == "results are in bestshot/take\n"
    assert cli("run", take, *QUICK, "-q", "--overwrite") == (0, done.out, "")


def test_without_a_model_and_a_network_one_line_says_what_is_off_and_how_to_get_it(cli, take):
    done = cli("run", take, *QUICK)
    assert done.code == 0
    remark, _ = done.err.splitlines()
    assert "aesthetics and prompts are off" in remark
    assert "bestshot-trt models pull ViT-B-32" in remark


def test_a_prompt_has_a_column_in_the_table(cli, take, tiny_model):
    done = cli("run", take, *QUICK, "--model", tiny_model.path, "--prompt", "the inn")
    head, row = done.out.splitlines()
    assert head.split()[-2:] == ["prompt", "clip"]
    assert -1 <= float(row.split()[-2]) <= 1


def test_json_is_the_document_alone_for_every_command_that_has_it(cli, take, tmp_path):
    assert cli("analyze", take, "--score-height", "64", "-o", "t.parquet").code == 0
    picked = cli("pick", "t.parquet", "-k", "1", "-o", "out", "--json")
    assert json.loads(picked.out) == json.loads((tmp_path / "out" / "moments.json").read_text())
    exported = cli("export", "out/moments.json", "--json", "-v")
    assert json.loads(exported.out) == json.loads((tmp_path / "out" / "moments.json").read_text())
    assert json.loads(exported.out)["moments"][0]["clip"]


def test_verbose_says_how_it_was_done(cli, take):
    assert "h264 96x64, 4.0 s, backend cpu, model none" in cli("run", take, *QUICK, "-v").err


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]], ids=["plain", "overwrite"])
def test_analyze_never_replaces_footage(cli, take, tmp_path, overwrite):
    shutil.copy(take, tmp_path / "other.mp4")
    (tmp_path / "link.parquet").symlink_to(take)
    (tmp_path / "hard.parquet").hardlink_to(take)
    before = take.read_bytes()
    for target in ("take.mp4", "./take.mp4", "link.parquet", "hard.parquet", "other.mp4"):
        done = cli("analyze", take, "-o", target, *overwrite)
        assert (done.code, len(done.err.splitlines())) == (2, 1), target
    assert take.read_bytes() == (tmp_path / "other.mp4").read_bytes() == before
    assert names(tmp_path) == ["hard.parquet", "link.parquet", "other.mp4", "take.mp4"]


def test_analyze_replaces_an_older_track_when_asked(cli, take):
    assert cli("analyze", take, "--score-height", "64").code == 0
    done = cli("analyze", take, "--score-height", "64")
    assert (done.code, done.err) == (
        2,
        "error: track.parquet: already exists; add --overwrite, or name another file with -o\n",
    )
    assert cli("analyze", take, "--score-height", "64", "--overwrite").code == 0


UNWRITABLE = {
    "a file": ("take.mp4", "is a file, not a folder; name another folder with -o"),
    "below a file": ("take.mp4/below/it", "cannot be written: Not a directory; write elsewhere with -o"),
    "below a device": ("/dev/null/x", "cannot be written"),
    "in no real folder": ("/proc/x", "cannot be written"),
}


@pytest.mark.parametrize("name", UNWRITABLE)
def test_an_output_that_takes_no_files_is_exit_code_8(cli, take, tmp_path, name):
    place, message = UNWRITABLE[name]
    done = cli("run", take, "-o", place)
    assert done.code == 8
    assert done.err.startswith(f"error: {place}: ")
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert names(tmp_path) == ["take.mp4"]


@pytest.mark.parametrize("size", ["4k", "20k", "60k", "400k", "1M"])
def test_a_full_disk_is_exit_code_8_and_leaves_only_whole_files(cli, long_take, tmp_path, disk, size):
    with disk(tmp_path / "disk", size) as folder:
        done = cli("run", long_take, "-o", folder / "out", "-k", "2", "--quality", "100", "--effort", "fastest")
        assert (done.code, done.out) == (8, "")
        assert "pace" in done.err
        assert not [line for line in done.err.splitlines() if not line.startswith(("error: ", "export: ", "analyze: "))]
        left = {path.name for path in folder.rglob("*") if path.is_file()}
    assert left <= {"track.parquet"} or left == {"track.parquet", "01_00h00m00.000s.mp4"}


def test_a_read_only_disk_is_exit_code_8_before_any_work(cli, take, tmp_path, disk):
    with disk(tmp_path / "disk", "1M") as folder:
        subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
        for place in (folder, folder / "out"):
            done = cli("run", take, "-o", place)
            assert (done.code, done.err) == (
                8,
                f"error: {place}: cannot be written: Read-only file system; write elsewhere with -o\n",
            )


def test_a_limit_on_file_sizes_is_exit_code_8_and_leaves_only_whole_files(long_take, tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    options = ["-k", "1", "--quality", "100", "--score-height", "64", "-q"]
    call = [*RUN, "run", long_take, "-o", tmp_path / "out", *options]
    done = subprocess.run(call, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode == 8
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("error: ")
    assert {path.name for path in (tmp_path / "out").rglob("*") if path.is_file()} <= {"track.parquet"}


def test_two_runs_into_one_folder_do_not_mix(cli, take, tmp_path):
    (tmp_path / "out").mkdir()
    with files.claimed(tmp_path / "out"):
        done = cli("run", take, "-o", "out", "--overwrite")
    assert (done.code, done.err) == (
        8,
        "error: out: another run is writing there; wait for it, or name another folder with -o\n",
    )


def started(take, out, *options):
    call = [*RUN, "run", take, "-o", out, "--fps", "30", "--score-height", "360", "--effort", "slow", *options]
    return subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait_until(condition, process):
    until = time.monotonic() + LIMIT_S
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def is_exporting(out):
    return any(out.glob("clips/.*.part.mp4"))


@pytest.mark.parametrize("stage", ["analyze", "export"])
@pytest.mark.parametrize(
    ("signum", "to_group", "times"),
    [
        (signal.SIGINT, False, 1),
        (signal.SIGINT, True, 1),
        (signal.SIGINT, True, 40),
        (signal.SIGTERM, False, 1),
        (signal.SIGTERM, True, 1),
    ],
    ids=["Ctrl-C", "Ctrl-C to the group", "Ctrl-C again and again", "SIGTERM", "SIGTERM to the group"],
)
def test_a_signal_ends_it_without_a_trace(long_take, tmp_path, stage, signum, to_group, times):
    out = tmp_path / "out"
    process = started(long_take, out)
    wait_until((lambda: is_exporting(out)) if stage == "export" else out.exists, process)
    for _ in range(times):
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if to_group else os.kill)(process.pid, signum)
        time.sleep(0.01)
    printed, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 128 + signum
    assert printed == ""
    word = "interrupted" if signum == signal.SIGINT else "terminated"
    assert said.splitlines()[-1] == f"{word}; finished files stay, nothing half-written was left"
    assert "Traceback" not in said
    # A signal that a library swallowed counts at the next step, when the track may be finished.
    left = [path.name for path in out.rglob("*")] if out.exists() else []
    assert left in (["track.parquet"], [] if stage == "analyze" else None)


def test_after_a_kill_the_same_command_works_and_shows_nothing_half_written(long_take, tmp_path):
    out = tmp_path / "out"
    process = started(long_take, out)
    wait_until(lambda: is_exporting(out), process)
    process.kill()
    process.communicate()
    assert not (out / "moments.json").exists()
    # The orphaned encoder may still be closing its file.
    options = ["--score-height", "64", "--effort", "fastest", "-k", "1"]
    again = subprocess.run([*RUN, "run", long_take, "-o", out, *options], capture_output=True, text=True, check=False)
    assert again.returncode == 0
    document = json.loads((out / "moments.json").read_text())
    assert [f"clips/{name}" for name in names(out / "clips")] == [moment["clip"] for moment in document["moments"]]


@pytest.mark.parametrize("options", [[], ["--json"], ["--help"]], ids=["table", "JSON", "help"])
def test_a_reader_that_goes_away_is_no_fault(take, tmp_path, options):
    reader, writer = os.pipe()
    os.close(reader)
    call = [*RUN, "run", take, *QUICK, "-o", tmp_path / "out", *options]
    done = subprocess.run(call, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "Broken pipe" not in done.stderr
    assert (tmp_path / "out" / "moments.json").exists() == ("--help" not in options)


def test_the_work_goes_on_when_nobody_reads_stderr(take, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    call = [*RUN, "run", take, *QUICK, "-v", "-o", tmp_path / "out"]
    done = subprocess.run(call, stdout=subprocess.PIPE, stderr=writer, check=False)
    os.close(writer)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
@pytest.mark.parametrize("options", [[], ["--json"], ["--help"]], ids=["table", "JSON", "help"])
def test_a_full_stdout_is_one_line_and_exit_code_8(take, tmp_path, options):
    call = [*RUN, "run", take, *QUICK, "-q", "-o", tmp_path / "out", *options]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(call, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 8
    assert done.stderr.startswith("error: standard output: ")
    assert len(done.stderr.splitlines()) == 1


def test_an_internal_error_is_one_line_and_a_traceback_only_when_asked(cli, take, monkeypatch):
    from bestshot_trt import pipeline

    def fail(*args, **options):
        raise RuntimeError("first line\nsecond line")

    monkeypatch.setattr(pipeline, "run", fail)
    line = "internal error: RuntimeError: first line; run again with -v and report the traceback\n"
    assert cli("run", take) == (70, "", line)
    done = cli("run", take, "-v")
    assert done.code == 70
    assert done.err.startswith("Traceback")
    assert done.err.endswith(line)


def test_lost_stretches_are_reported(cli, clip, tmp_path):
    whole = clip("-c:v libx264 -preset ultrafast -g 10 -movflags +faststart", size="96x64", rate="10", seconds=8)
    (tmp_path / "cut.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size * 6 // 10])
    done = cli("run", "cut.mp4", *QUICK)
    assert done.code == 0
    assert "cut.mp4: " in done.err
    assert "could not be decoded" in done.err or "cut short" in done.err


def test_a_background_job_of_a_script_ends_on_ctrl_c_too(long_take, tmp_path):
    out = tmp_path / "out"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = started(long_take, out)
    finally:
        signal.signal(signal.SIGINT, before)
    wait_until(out.exists, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    # As with any signal, the track may have been finished by the time that it counts.
    assert not out.exists() or names(out) == ["track.parquet"]


@pytest.mark.parametrize("reaction", ["pass", "raise RuntimeError('half done')"], ids=["loses it", "fails of it"])
@pytest.mark.parametrize(
    "rest",
    ["time.sleep(600)", "options['progress']('analyze', 1, 2); time.sleep(600)", "return {'moments': []}"],
    ids=["and hangs", "and goes on", "and the work ends"],
)
def test_a_signal_counts_though_a_library_swallows_it(take, reaction, rest):
    code = (
        "import sys, time\n"
        "from bestshot_trt import pipeline\n"
        "from bestshot_trt.cli import main\n"
        "def run(*args, **options):\n"
        "    print('ready', flush=True)\n"
        "    try: time.sleep(600)\n"
        f"    except BaseException: {reaction}\n"
        f"    {rest}\n"
        "pipeline.run = run\n"
        f"sys.argv = ['bestshot-trt', 'run', {str(take)!r}]\n"
        "main()\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    printed, said = process.communicate(timeout=LIMIT_S)
    assert process.returncode == 130
    assert printed == ""
    assert said == "interrupted; finished files stay, nothing half-written was left\n"


def test_a_line_of_progress_says_how_far_how_fast_and_how_long():
    assert progress.line("analyze", 30.0, 120.0, 3.0) == (
        "analyze: 25 %, 30 of 120 s, 10.0x real time, 3 s elapsed, 9 s left"
    )
    assert progress.line("analyze", 30.0, None, 3.0) == "analyze: 30 s, 10.0x real time, 3 s elapsed"
    assert progress.line("export", 0.0, 9.0, 3.0) == "export: 0 %, 0 of 9 s, 3 s elapsed"


@pytest.fixture
def fast_meter(monkeypatch):
    monkeypatch.setattr(progress, "SILENT_S", 0.0)
    monkeypatch.setattr(progress, "_TICK_S", 0.01)


def test_work_longer_than_two_seconds_speaks_even_within_one_step(fast_meter, monkeypatch):
    said = []
    monkeypatch.setattr(progress, "say", said.append)
    until = time.monotonic() + LIMIT_S
    with progress.Meter() as meter:
        meter("export", 3.0, 9.0)
        while not said and time.monotonic() < until:
            time.sleep(0.01)
    assert said[0].startswith("export: 33 %, 3 of 9 s, ")
    assert "\x1b" not in said[0]


def test_short_and_quiet_work_says_nothing(fast_meter, monkeypatch, capfd):
    with progress.Meter(quiet=True) as meter:
        meter("analyze", 1.0, 2.0)
        time.sleep(0.1)
    monkeypatch.setattr(progress, "SILENT_S", 60.0)
    with progress.Meter() as meter:
        meter("analyze", 1.0, 2.0)
        time.sleep(0.1)
    assert capfd.readouterr() == ("", "")


def test_a_terminal_gets_a_bar():
    code = (
        "import time; from bestshot_trt.cli import progress\n"
        "progress.SILENT_S, progress._TICK_S = 0.0, 0.01\n"
        "with progress.Meter() as meter:\n"
        "    meter('analyze', 5.0, 10.0)\n"
        "    while meter._bar is None: time.sleep(0.01)\n"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    done = subprocess.run([sys.executable, "-c", code], stderr=theirs, env=environment, timeout=LIMIT_S, check=False)
    os.close(theirs)
    drawn = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "analyze" in drawn
    assert "50 %" in drawn
    assert "x real time" in drawn


def test_progress_of_other_work_has_its_own_units():
    assert progress.line("pull", 30.0, 120.0, 3.0, "MB") == "pull: 25 %, 30 of 120 MB, 10.0 MB/s, 3 s elapsed, 9 s left"
    assert progress.line("verify", 1.0, 4.0, 3.0, "steps") == "verify: 25 %, 1 of 4 steps, 3 s elapsed, 9 s left"
    assert progress.line("prepare", 0.0, None, 3.0) == "prepare: 3 s elapsed"
